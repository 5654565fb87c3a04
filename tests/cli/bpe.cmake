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

# ---- in training: raw text in, the folder alone translates, whatever the script
set(pairs "")
foreach(i RANGE 1 30)
  string(APPEND pairs "I see ${i} dogs.\tIch sehe ${i} Hunde.\nGo!\tLos, geh doch endlich weg von hier!\n")
endforeach()
file(WRITE ${WORK}/pairs.tsv "${pairs}")
file(WRITE ${WORK}/more.tsv "Stop!\tHalt!\n")
file(WRITE ${WORK}/bpe.ini
"[data]
train = pairs.tsv
train2 = more.tsv
weight2 = 10
vocab = bpe
tokenise = punct
merges = 40
bpe_dropout = 0.1
max_length = 30
max_ratio = 3
[model]
${tiny_model}
[train]
max_updates = 3
batch_tokens = 200
[optim]
warmup = 2
")
set(words "vocabulary [0-9]+ of 40 merges, 61 items for training \\(30 left out\\)")
string(APPEND words ".*training: 30 items left out of which one side is more than data.max_ratio = 3 times")
expect(CODE 0 ARGS train --config bpe.ini --threads 1 --out learnt
       ERR_HAS "${words}[^\n]*\ntraining: the first of these is item 2\n")
expect(CODE 0 ARGS inspect learnt OUT_HAS "target_vocab  *[0-9]+ tokens .punct, BPE of 40 merges.\n.*merges = 40\n")
file(REMOVE ${WORK}/pairs.tsv ${WORK}/more.tsv)
file(WRITE ${WORK}/source "I see 7 dogs.\n\n日本 Δ \"x\"\n")
execute_process(COMMAND ${WEFT} translate --model learnt INPUT_FILE ${WORK}/source
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE out RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 0 OR NOT out MATCHES "^[^\n]*\n\n[^\n]*\n$" OR out MATCHES "<unk>|@@|￭")
  message(SEND_ERROR "weft translate: exit code ${code}, not plain text on three lines:\n${out}${err}")
endif()

file(WRITE ${WORK}/pairs.tsv "${pairs}")
set(bad train --config bpe.ini --set data.train2= --set data.weight2=1 --out none)
expect(CODE 2 ERR "weft train: damaged:3: a merge is two symbols with one space between\n"
       ARGS ${bad} --set data.codes=damaged)
expect(CODE 2 ERR_HAS "^weft train: nowhere: " ARGS ${bad} --set data.codes=nowhere)
expect(CODE 2 ERR "weft train: data.codes needs data.vocab = bpe\n"
       ARGS ${bad} --set data.codes=few --set data.vocab=word --set data.bpe_dropout=0)
expect(CODE 2 ERR "weft train: data.weight3 = 2 is set without data.train3\n"
       ARGS ${bad} --set data.weight3=2)
