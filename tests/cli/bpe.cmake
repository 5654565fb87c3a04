# weft bpe learn and apply: the files of subword-nmt, and mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)
set(golden ${SOURCE}/tests/golden/subword-nmt)

# ---- learn: to a file and to the standard output, from files and from the standard input
file(READ ${golden}/prose.codes codes)
expect(CODE 0 ARGS bpe learn --input ${golden}/prose.text --merges 300 --out codes
       ERR "the text has no more than 221 merges to learn\n")
file(READ ${WORK}/codes written)
if(NOT written STREQUAL codes)
  message(SEND_ERROR "weft bpe learn --out: not the codes of subword-nmt")
endif()
expect(CODE 0 STDIN ${golden}/prose.text ARGS bpe learn --merges 221 OUT "${codes}")
file(READ ${golden}/total.codes total)
expect(CODE 0 STDIN ${golden}/prose.text ARGS bpe learn --vocab-size 200 OUT "${total}")
# Two files are learnt from as one.
file(WRITE ${WORK}/en "low lower lowest\n")
file(WRITE ${WORK}/de "lob lobt\nLOW, lower\n")
expect(CODE 0 ARGS bpe learn --input en --input de --merges 1 OUT "#version: 0.2\nl o\n")
expect(CODE 0 ARGS bpe learn --input de --merges 1 --lowercase --tokenise punct --min-count 4
       OUT "#version: 0.2\nl o\n")

# ---- apply: the spaces at a line's ends stay
file(READ ${golden}/prose.cut cut)
expect(CODE 0 STDIN ${golden}/prose.other ARGS bpe apply --codes codes OUT "${cut}")
file(WRITE ${WORK}/text "Low.\n")
file(WRITE ${WORK}/few "#version: 0.2\nl o\nlo w</w>\n")
expect(CODE 0 STDIN ${WORK}/text ARGS bpe apply --codes few --lowercase --tokenise punct
       OUT "low ￭@@ .\n")
# Dropout: equal seeds give equal cuts.
execute_process(COMMAND ${WEFT} bpe apply --codes codes --dropout 0.5 INPUT_FILE ${golden}/prose.other
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE dropped)
expect(CODE 0 STDIN ${golden}/prose.other ARGS bpe apply --codes codes --dropout 0.5 --seed 1
       OUT "${dropped}")
execute_process(COMMAND ${WEFT} bpe apply --codes codes --dropout 0.5 --seed 2
  INPUT_FILE ${golden}/prose.other WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE other)
if(dropped STREQUAL cut OR dropped STREQUAL other)
  message(SEND_ERROR "weft bpe apply --dropout: the cuts of two seeds, or without it, are equal")
endif()

# ---- mistakes
expect(CODE 0 OUT_HAS "^usage: weft bpe COMMAND" ARGS bpe --help)
expect(CODE 0 OUT_HAS "^usage: weft bpe learn " ARGS bpe learn --help)
expect(CODE 2 ERR "weft bpe: a command is needed\nTry: weft bpe --help\n" ARGS bpe)
expect(CODE 2 ERR "weft bpe: unknown command lern (did you mean learn?)\nTry: weft bpe --help\n"
       ARGS bpe lern)
set(one "weft bpe learn: one of --merges N and --vocab-size N is needed\n")
expect(CODE 2 ERR "${one}" ARGS bpe learn)
expect(CODE 2 ERR "${one}" ARGS bpe learn --merges 5 --vocab-size 5)
expect(CODE 2 ERR_HAS "^weft bpe learn: --merges 0: " ARGS bpe learn --merges 0)
expect(CODE 2 ERR_HAS "^weft bpe learn: nowhere: " ARGS bpe learn --merges 5 --input nowhere)
expect(CODE 2 ERR_HAS "^weft bpe learn: no/where[^\n]*No such file" STDIN ${WORK}/en ARGS bpe learn --merges 5 --out no/where)
expect(CODE 2 ERR "weft bpe apply: codes are needed: --codes FILE\n" ARGS bpe apply)
expect(CODE 2 ERR_HAS "^weft bpe apply: text:1: a file of BPE codes begins with " ARGS bpe apply --codes text)
file(WRITE ${WORK}/damaged "#version: 0.2\nl o\nlo w</w> x\n")
expect(CODE 2 ERR "weft bpe apply: damaged:3: a merge is two symbols with one space between\n"
       ARGS bpe apply --codes damaged)
