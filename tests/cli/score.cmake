# weft score: sacreBLEU's lines, and mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

# The line of expected.json for every corpus, with as many references as it has.
file(READ ${golden}/expected.json expected)
string(JSON n LENGTH "${expected}")
math(EXPR last "${n} - 1")
file(STRINGS ${SOURCE}/core/core.h version REGEX "define WEFT_VERSION")
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" version "${version}")
foreach(i RANGE ${last})
  string(JSON name MEMBER "${expected}" ${i})
  string(JSON line GET "${expected}" ${name} line)
  file(GLOB refs ${golden}/${name}.ref?)
  list(SORT refs)
  list(LENGTH refs n_refs)
  list(TRANSFORM refs PREPEND "--ref=")
  expect(CODE 0 STDIN ${golden}/${name}.hyp ARGS score ${refs}
         OUT "${line}\nBLEU|nrefs:${n_refs}|case:mixed|eff:no|tok:13a|smooth:exp|version:weft-${version}\n")
endforeach()

set(hyp ${golden}/de.p35.hyp)
set(ref ${golden}/de.p35.ref0)
expect(CODE 0 STDIN ${hyp} ARGS score --ref ${ref} --metric chrf
       OUT "chrF2 = 65.62\nchrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:weft-${version}\n")
expect(CODE 0 STDIN ${hyp} ARGS score --ref ${ref} --metric chrf --lowercase
       OUT "chrF2 = 65.80\nchrF2|nrefs:1|case:lc|eff:yes|nc:6|nw:0|space:no|version:weft-${version}\n")
expect(CODE 0 STDIN ${hyp} ARGS score --lowercase --metric exact --ref ${hyp}
       OUT_HAS "^exact match: 100.00 % \\([0-9]+ of [0-9]+\\)\nexact\\|nrefs:1\\|case:lc\\|")
expect(CODE 0 OUT_HAS "^usage: weft score --ref FILE.*--lowercase" ARGS score --help)

expect(CODE 0 STDIN ${hyp} ARGS score --ref ${ref} --metric chrf++
       OUT_HAS "^chrF2\\+\\+ = [0-9.]+\nchrF2\\+\\+\\|nrefs:1\\|case:mixed\\|eff:yes\\|nc:6\\|nw:2\\|space:no\\|version:weft-")
foreach(smooth "none;none" "floor;floor.0.10." "add-k;add-k.1.00.")
  list(GET smooth 0 name)
  list(GET smooth 1 signature)
  expect(CODE 0 STDIN ${hyp} ARGS score --ref ${ref} --smooth ${name}
         OUT_HAS "^BLEU = [^\n]*\nBLEU[^\n]*smooth:${signature}\\|version:weft")
endforeach()
expect(CODE 0 STDIN ${golden}/de.p10.hyp ARGS score --ref ${ref} --against ${golden}/de.p70.hyp --samples 99
       OUT_HAS "^BLEU = [^\n]*\n[^\n]*de.p70.hyp: BLEU = [^\n]*\n[0-9.]+ \\+- [0-9.]+ against [0-9.]+ \\+- [0-9.]+, p = 0.0100 \\(paired bootstrap, 99 samples, seed 12345\\)\nBLEU.nrefs:1")

# Mistakes: one sentence, exit code 2.
set(try "\nTry: weft score --help\n")
expect(CODE 2 ERR "weft score: a reference is needed: --ref FILE\n" ARGS score)
expect(CODE 2 ERR "weft score: unknown option --lowercsae (did you mean --lowercase?)${try}" ARGS score --lowercsae)
expect(CODE 2 ERR "weft score: unknown option --metrik (did you mean --metric?)${try}" ARGS score --metrik=bleu)
expect(CODE 2 ERR "weft score: unknown option -x${try}" ARGS score -x)
expect(CODE 2 ERR "weft score: --ref needs a value${try}" ARGS score --ref)
expect(CODE 2 ERR "weft score: --lowercase takes no value${try}" ARGS score --lowercase=yes)
expect(CODE 2 ERR "weft score: --metric ble: one of bleu|chrf|chrf++|exact is needed${try}" ARGS score --metric ble)
expect(CODE 2 ERR "weft score: unexpected argument more${try}" ARGS score --ref a more)
expect(CODE 2 STDIN ${hyp} ERR "weft score: --ref -: the standard input holds the hypotheses\n" ARGS score --ref -)
# What would do nothing is refused.
set(needs_value "weft score: --smooth-value needs --smooth floor or --smooth add-k\n")
expect(CODE 2 ERR "${needs_value}" ARGS score --ref a --smooth-value 1)
expect(CODE 2 ERR "${needs_value}" ARGS score --ref a --smooth-value 1 --smooth none)
foreach(smooth floor add-k)
  expect(CODE 2 ERR "weft score: --smooth-value 0 smooths nothing: that is --smooth none\n"
         ARGS score --ref a --smooth ${smooth} --smooth-value 0)
endforeach()
foreach(metric chrf chrf++ exact)
  expect(CODE 2 ERR "weft score: --smooth is for --metric bleu: the others have nothing to smooth\n"
         ARGS score --ref a --metric ${metric} --smooth exp)
endforeach()
foreach(option --samples --seed)
  expect(CODE 2 ERR "weft score: --samples and --seed are of the bootstrap: they need --against FILE\n"
         ARGS score --ref a ${option} 5)
endforeach()
expect(CODE 2 ERR_HAS "^weft score: nofile: [^\n]*No such file[^\n]*\n$" ARGS score --ref nofile)

file(WRITE ${WORK}/two "a\nb\n")
file(WRITE ${WORK}/three "a\nb\nc\n")
file(WRITE ${WORK}/none "")
expect(CODE 2 STDIN ${WORK}/three ARGS score --ref two
       ERR "weft score: line counts differ: the hypotheses 3, two 2\n")
expect(CODE 2 STDIN ${WORK}/two ARGS score --ref two --ref three
       ERR "weft score: line counts differ: the hypotheses 2, three 3\n")
expect(CODE 2 STDIN ${WORK}/two ARGS score --ref two --against three
       ERR "weft score: line counts differ: the hypotheses 2, three 3\n")
expect(CODE 2 ARGS score --ref none ERR "weft score: there are no hypotheses\n")
execute_process(COMMAND printf "a\\n\\377\\n" OUTPUT_FILE ${WORK}/bytes)
expect(CODE 2 STDIN ${WORK}/two ARGS score --ref bytes ERR_HAS "^weft score: bytes:2:[^\n]*UTF-8[^\n]*\n$")
expect(CODE 2 STDIN ${WORK}/bytes ARGS score --ref two ERR_HAS "^weft score: [^\n]*:2:[^\n]*UTF-8[^\n]*\n$")
