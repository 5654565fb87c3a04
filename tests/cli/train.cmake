# weft train: a run and its folder, stopping and going on, mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)
set(try "\nTry: weft train --help\n")

file(WRITE ${WORK}/tiny.ini
"[data]
task = copy
train_size = 100
valid_size = 12
[model]
${tiny_model}
[train]
max_updates = 12
batch_tokens = 150
validate_every = 5
checkpoint_every = 4
log_every = 3
max_decode_length = 22
[optim]
lr = 0.003
schedule = cosine
warmup = 4
")
set(tiny train --config tiny.ini --threads 1)

# ---- a run ---------------------------------------------------------------------------------------
expect(CODE 0 OUT_HAS "^usage: weft train --config FILE \\| --task NAME \\| --resume DIR.*--threads" ARGS train --help)
expect(CODE 0 ARGS ${tiny} --out new/a
       OUT_HAS "source      [a-z]+\n  reference   [a-z]+\n. hypothesis  [a-z]*\n.*\nheld-out exact match: [0-9.]+ % \\([0-9]+ of 12\\)\n$"
       ERR_HAS "^[0-9]+ parameters, vocabulary 29, 100 items.*\nupdate 5: validation loss .*update 12/12 ")
file(GLOB made RELATIVE ${WORK}/new/a ${WORK}/new/a/*)
list(SORT made)
if(NOT made STREQUAL "best.h5;checkpoint.h5;config.ini;log.jsonl")
  message(SEND_ERROR "the folder holds ${made}")
endif()
# ---- the whole configuration: reads back as itself
execute_process(COMMAND ${WEFT} ${tiny} --set train.ema=0.5 --dump-config WORKING_DIRECTORY ${WORK}
  OUTPUT_FILE ${WORK}/whole.ini RESULT_VARIABLE code)
file(READ ${WORK}/whole.ini whole)
if(NOT code EQUAL 0 OR NOT whole MATCHES "\nema = 0.5\n" OR NOT whole MATCHES "\nd_model = 16\n")
  message(SEND_ERROR "weft train --dump-config: exit code ${code}:\n${whole}")
endif()
expect(CODE 0 OUT "${whole}" ARGS train --config whole.ini --dump-config)
# by itself the defaults; of a model what it was made with
execute_process(COMMAND ${WEFT} train --dump-config OUTPUT_FILE ${WORK}/defaults.ini RESULT_VARIABLE code)
file(READ ${WORK}/defaults.ini defaults)
if(NOT code EQUAL 0 OR NOT defaults MATCHES "^.data.\ntrain = \n.*\nd_model = 512\n.*\nclip = 0\n$")
  message(SEND_ERROR "weft train --dump-config: exit code ${code}:\n${defaults}")
endif()
expect(CODE 0 OUT "${defaults}" ARGS train --config defaults.ini --dump-config)
expect(CODE 0 OUT_HAS "\ntask = copy\n.*\nd_model = 16\n.*\nlr = 0.5\n" ARGS train --init new/a --dump-config --set optim.lr=0.5)
expect(CODE 0 OUT_HAS "^.data.\ntrain = \n.*\ntask = \n.*\nd_model = 16\n" ARGS train --init new/a --dump-config --set data.task=)

# ---- references are compared as the vocabulary reads them: NFC, single spaces, in lower case
string(ASCII 204 136 diaeresis) # U+0308
file(WRITE ${WORK}/umlauts.tsv "the door\tDie  Tu${diaeresis}r\na dog\tein Hund \n")
set(words train --config tiny.ini --threads 1 --set data.task= --set data.train=umlauts.tsv
  --set data.valid=umlauts.tsv --set data.test=umlauts.tsv --set data.lowercase=true)
expect(CODE 0 ARGS ${words} --set optim.lr=0.01 --set optim.schedule=constant --set train.max_updates=400
       --set train.validate_every=20 --set train.target_exact=100 --set train.label_smoothing=0 --out umlauts
       OUT_HAS "reference   die tür\n= hypothesis  die tür\n.*BLEU: [0-9.]+\nheld-out exact match: 100.00 % .2 of 2.\n"
       ERR_HAS "exact match 100.0 %")

# ---- beyond the lengths of training: exact matches by length
expect(CODE 0 OUT_HAS "\nsources of 10 to 11 symbols: [0-9.]+ % .*\nsources of 18 to 19 symbols: .*\nheld-out exact match: [0-9.]+ % \\([0-9]+ of [0-9]+\\)"
       ERR_HAS "update" ARGS ${tiny} --out longer --set data.task=parity --set data.length=9 --set data.test_length=19)

# ---- recurrent layers in the place of self-attention: trained, decoded, resumed
foreach(mixer rnn lstm gru gru_before)
  expect(CODE 0 OUT_HAS "held-out exact match: " ERR_HAS "update" ARGS ${tiny} --out ${mixer}
         --set model.mixer=${mixer} --set model.position=none --set train.beam=2)
endforeach()

# ---- before training
expect(CODE 0 ARGS ${tiny} --sanity
       OUT_HAS "^gradient norm  parameters  layer\n *[0-9.e-]+ +[0-9]+  src_embed\n.*  encoder.layers.0\n.*  decoder.layers.0\n.*every layer has a gradient: fine\nfirst loss [0-9.]+, ln V = 3.3673: fine\none batch of [0-9]+ sentences, [0-9]+ tokens, by heart: loss 0.[0-9]+ after [0-9]+ updates: fine\n$")
expect(CODE 0 ARGS ${tiny} --set model.d_model=256 --sanity
       OUT_HAS "\nfirst loss [0-9.]+, ln V = 3.3673: logits are large at the beginning, which costs the first updates\n")
expect(CODE 1 ARGS ${tiny} --set model.d_model=2 --set model.ffn=2 --sanity
       OUT_HAS "\none batch of [0-9]+ sentences, [0-9]+ tokens, by heart: loss [0-9.]+ after [0-9]+ updates: NOT AS IT SHOULD BE\n$")
expect(CODE 2 ERR "weft train: --dump-config, --sanity and --lr-range: one at a time\n" ARGS ${tiny} --sanity --lr-range)
expect(CODE 0 OUT_HAS "^learning rate      loss\n *1e-06 .*\nthe loss falls fastest at [0-9.e-]+ and is least at [0-9.e-]+: a highest rate between [0-9.e-]+ and [0-9.e-]+ is a good start\n$" ARGS ${tiny} --lr-range)

# ---- the best and the last of a run, and their means
expect(CODE 0 OUT_HAS "held-out" ERR_HAS "chrF|update" ARGS ${tiny} --out several --set train.keep=3
       --set train.keep_best=2 --set train.validate_every=4 --set train.ema=0.9 --set train.beam=2
       --set train.penalty=word --set train.length_penalty=-0.8 --set train.smoothing=annotated)
file(GLOB made RELATIVE ${WORK}/several ${WORK}/several/*-*.h5)
list(SORT made)
if(NOT made STREQUAL "best-12.h5;best-8.h5;checkpoint-12.h5;checkpoint-4.h5;checkpoint-8.h5")
  message(SEND_ERROR "the folder holds ${made}")
endif()
expect(CODE 0 OUT "last: the mean of 3 models\n" ARGS average several --last --out last)
expect(CODE 0 OUT "best: the mean of 2 models\n" ARGS average several --best --out best)
expect(CODE 0 OUT "two: the mean of 2 models\n"
       ARGS average several/best-8.h5 several/best-12.h5 --out two)
execute_process(COMMAND cmp ${WORK}/last/best.h5 ${WORK}/two/best.h5 RESULT_VARIABLE last
  OUTPUT_QUIET)
if(last EQUAL 0)
  message(SEND_ERROR "the mean of the best is that of the last")
endif()
file(WRITE ${WORK}/words "abc\n")
expect(CODE 0 STDIN ${WORK}/words OUT_HAS "^[a-z]*\n$" ARGS translate --model best --beam 2)
set(need "weft average: checkpoints and --out DIR are needed, and at most one of --last and --best\n")
expect(CODE 2 ERR "${need}" ARGS average --out x)
expect(CODE 2 ERR "${need}" ARGS average several)
expect(CODE 2 ERR "${need}" ARGS average several --out x --last --best)
expect(CODE 2 ERR "weft average: best: File exists\n" ARGS average several --out best)
expect(CODE 2 ERR "weft average: there is no new/a/checkpoint-[0-9]*.h5: train.keep keeps more than one\n"
       ARGS average new/a --last --out x)
expect(CODE 2 ERR_HAS "^weft average: nowhere: there is no such folder or file\n$" ARGS average nowhere --out x)
if(EXISTS ${WORK}/x)
  message(SEND_ERROR "weft average left a folder")
endif()

file(STRINGS ${WORK}/new/a/log.jsonl lines)
list(GET lines 0 first)
list(GET lines -1 last)
string(JSON event GET "${first}" event)
string(JSON reason GET "${last}" reason)
if(NOT event STREQUAL "start" OR NOT reason STREQUAL "max_updates")
  message(SEND_ERROR "the log is\n${lines}")
endif()
foreach(place "first;read_s" "first;start_s" "last;waited_s")
  list(GET place 0 line)
  list(GET place 1 key)
  string(JSON seconds GET "${${line}}" ${key})
  if(NOT seconds MATCHES "^[0-9.e-]+$")
    message(SEND_ERROR "${key} is ${seconds} in\n${${line}}")
  endif()
endforeach()

# Equal runs give equal files, wherever they lie and with any number of threads.
function(same a b)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${WORK}/${a} ${WORK}/${b} RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(SEND_ERROR "${a} and ${b} differ")
  endif()
endfunction()
expect(CODE 0 ARGS train --config tiny.ini --threads 2 --out b OUT_HAS "match" ERR_HAS "12/12")
same(new/a/checkpoint.h5 b/checkpoint.h5)
same(new/a/best.h5 b/best.h5)

# Without --out the folder takes its name from the configuration.
expect(CODE 0 ARGS ${tiny} --set train.max_updates=1 --set optim.schedule=constant OUT_HAS "match" ERR_HAS "1/1")
if(NOT EXISTS ${WORK}/out/tiny/checkpoint.h5)
  message(SEND_ERROR "out/tiny was not made")
endif()

# A target that was missed is exit code 1.
expect(CODE 1 ARGS ${tiny} --set train.target_exact=100 --out missed OUT_HAS "held-out exact match: [0-9.]+ % " ERR_HAS "12/12")

# ---- stopping and going on -----------------------------------------------------------------------
# A signal finishes the update and saves; the resumed run is the uninterrupted one.
set(long --set train.max_updates=400 --set train.validate_every=0 --set train.checkpoint_every=0)
expect(CODE 0 ARGS ${tiny} ${long} --out whole OUT_HAS "match" ERR_HAS "400/400")
# stopped(SIGNAL DIR UPDATE LINE arg...): weft gets the signal once the log of the folder has the line.
set(code_INT 130)
set(code_TERM 143)
function(stopped signal dir update line)
  list(JOIN ARGN "' '" args)
  file(WRITE ${WORK}/stop.sh
"'${WEFT}' '${args}' 2> ${dir}.err > ${dir}.out &
pid=$!
n=0
until grep -q '${line}' ${dir}/log.jsonl 2> /dev/null; do sleep 0.02; n=$((n + 1)); [ $n -lt 3000 ] || exit 1; done
kill -${signal} $pid
wait $pid
")
  execute_process(COMMAND sh ${WORK}/stop.sh WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code)
  file(READ ${WORK}/${dir}.err err)
  if(NOT code EQUAL ${code_${signal}} OR NOT err MATCHES
     "stopped after update ${update}, all is saved; to go on: weft train --resume ${dir}\n$")
    message(SEND_ERROR "SIG${signal}: exit code ${code}\n${err}")
  endif()
endfunction()
foreach(signal IN ITEMS INT TERM)
  set(dir stopped-${signal})
  stopped(${signal} ${dir} "[0-9]+" "\"update\": 9," ${tiny} ${long} --out ${dir})
  expect(CODE 0 ARGS train --resume ${dir} --threads 1 OUT_HAS "held-out exact match: " ERR_HAS "400/400")
  same(whole/checkpoint.h5 ${dir}/checkpoint.h5)
  same(whole/best.h5 ${dir}/best.h5)
endforeach()

# From another working directory: the folder is all that is needed. A text that is gone is named, and the
# key that names another.
file(MAKE_DIRECTORY ${WORK}/elsewhere)
set(words train --config tiny.ini --threads 1 --set data.task= --set data.train=words --set data.src=en --set data.tgt=de
  --set data.valid=umlauts.tsv --set data.test=umlauts.tsv --set train.max_updates=2 --set optim.schedule=constant)
file(WRITE ${WORK}/words.en "a b\nb a\n")
file(WRITE ${WORK}/words.de "c d\nd c\n")
expect(CODE 0 ARGS ${words} --out words_whole OUT_HAS "match" ERR_HAS "2/2")
expect(CODE 0 ARGS ${words} --out begun --set train.max_updates=1 OUT_HAS "match" ERR_HAS "1/1")
execute_process(COMMAND ${WEFT} train --resume ../begun --set train.max_updates=2 --threads 1 OUTPUT_QUIET
  WORKING_DIRECTORY ${WORK}/elsewhere RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 0)
  message(SEND_ERROR "weft train --resume from another working directory: ${code}\n${err}")
endif()
same(words_whole/checkpoint.h5 begun/checkpoint.h5)
file(RENAME ${WORK}/words.de ${WORK}/elsewhere/words.de)
expect(CODE 2 ARGS train --resume begun
       ERR_HAS "^weft train: /.*/words.de: No such file or directory .nor is there /.*/words.de.gz.; --set data.train=PATH names another\n$")
file(RENAME ${WORK}/words.en ${WORK}/elsewhere/words.en)
expect(CODE 0 ARGS train --resume begun --set data.train=elsewhere/words --set train.max_updates=3 --threads 1
       OUT_HAS "match" ERR_HAS "3/3")

# Nor need one wait for the end of a validation or of the final test, which take seconds here. What was cut
# short is made when the run goes on.
set(slow ${tiny} --set data.valid_size=8000 --set train.max_updates=6 --set train.validate_every=3)
expect(CODE 0 ARGS ${slow} --out slow OUT_HAS "match" ERR_HAS "6/6")
stopped(INT parts 3 "\"train\", \"update\": 3," ${slow} --out parts)
stopped(TERM parts 6 "\"train\", \"update\": 6," train --resume parts --threads 1)
file(STRINGS ${WORK}/parts/log.jsonl lines REGEX "\"validation\", \"update\": 6,")
if(lines)
  message(SEND_ERROR "the validation went on after the signal: ${lines}")
endif()
stopped(INT parts 6 "\"max_updates\"" train --resume parts --threads 1)
file(READ ${WORK}/parts.out out)
if(out MATCHES "match")
  message(SEND_ERROR "the final test went on after the signal:\n${out}")
endif()
expect(CODE 0 ARGS train --resume parts --threads 1 OUT_HAS "held-out exact match: " ERR_HAS "6/6")
same(slow/checkpoint.h5 parts/checkpoint.h5)
same(slow/best.h5 parts/best.h5)

# Going on with a run that has ended, and with more updates than it had.
expect(CODE 0 ARGS train --resume b --threads 1 OUT_HAS "held-out exact match" ERR_HAS "12/12")
same(new/a/checkpoint.h5 b/checkpoint.h5)
expect(CODE 0 ARGS train --resume b --threads 1 --set train.max_updates=15 OUT_HAS "match" ERR_HAS "15/15")
file(STRINGS ${WORK}/b/log.jsonl lines REGEX "\"end\"")
list(GET lines -1 last)
string(JSON update GET "${last}" update)
if(NOT update EQUAL 15)
  message(SEND_ERROR "the log of the resumed run ends with ${last}")
endif()

# The lines of its log (every 3 updates) are those of a run that never ended, also that of updates 7 and 8 before, and 9
# after.
function(losses dir result)
  set(found "")
  file(STRINGS ${WORK}/${dir}/log.jsonl lines REGEX "\"train\", \"update\": (3|6|9|12),")
  foreach(line IN LISTS lines)
    string(JSON update GET "${line}" update)
    string(JSON loss GET "${line}" loss)
    list(APPEND found "${update}: ${loss}")
  endforeach()
  set(${result} "${found}" PARENT_SCOPE)
endfunction()
expect(CODE 0 ARGS ${tiny} --set optim.schedule=constant --out once OUT_HAS "match" ERR_HAS "12/12")
expect(CODE 0 ARGS ${tiny} --set optim.schedule=constant --set train.max_updates=8 --out twofold OUT_HAS "match" ERR_HAS "8/8")
expect(CODE 0 ARGS train --resume twofold --threads 1 --set train.max_updates=12 OUT_HAS "match" ERR_HAS "12/12")
losses(once of_one)
losses(twofold of_two)
if(NOT of_one MATCHES "3: .*12: " OR NOT of_one STREQUAL of_two)
  message(SEND_ERROR "the logs have the losses ${of_one} and ${of_two}")
endif()

# ---- killed before the first checkpoint ----------------------------------------------------------
# The folder alone, or with a part of its configuration: as if it were not there. With the configuration: --resume
# begins anew, from the model that --init named.
file(MAKE_DIRECTORY ${WORK}/killed)
file(WRITE ${WORK}/killed/config.ini.tmp.2147483646.0 "[data]")
expect(CODE 0 ARGS ${tiny} --out killed OUT_HAS "match" ERR_HAS "12/12")
same(new/a/checkpoint.h5 killed/checkpoint.h5)
foreach(from killed on)
  if(from STREQUAL on)
    expect(CODE 0 ARGS train --init new/a --set train.max_updates=6 --threads 1 --out on OUT_HAS "match"
           ERR_HAS "those of new/a\n.*6/6")
  endif()
  file(COPY ${WORK}/${from}/config.ini DESTINATION ${WORK}/begun-${from})
  file(WRITE ${WORK}/begun-${from}/log.jsonl "")
  file(WRITE ${WORK}/begun-${from}/checkpoint.h5.tmp.2147483646.0 "x")
  expect(CODE 2 ARGS ${tiny} --out begun-${from} ERR "weft train: begun-${from} exists already: name another folder with --out, or go on with --resume begun-${from}\n")
  expect(CODE 0 ARGS train --resume begun-${from} --threads 1 OUT_HAS "match" ERR_HAS "items for training")
  same(${from}/checkpoint.h5 begun-${from}/checkpoint.h5)
  same(${from}/best.h5 begun-${from}/best.h5)
endforeach()
# A run whose checkpoint is gone is not begun anew.
file(REMOVE ${WORK}/begun-killed/checkpoint.h5)
expect(CODE 2 ARGS train --resume begun-killed ERR_HAS "^weft train: begun-killed/checkpoint.h5: cannot open: [^\n]*\n$")
# A run killed between its first checkpoint and the next has the beginning of its log once.
file(COPY ${WORK}/killed/config.ini DESTINATION ${WORK}/anew)
expect(CODE 0 ARGS train --resume anew --threads 1 --set train.max_updates=0 --set train.max_minutes=1e-9 --set optim.schedule=constant
       OUT_HAS "match" ERR_HAS "update 0")
expect(CODE 0 ARGS train --resume anew --threads 1 OUT_HAS "match" ERR_HAS "update 0")
file(STRINGS ${WORK}/anew/log.jsonl lines REGEX "\"start\"")
list(LENGTH lines n)
if(NOT n EQUAL 1)
  message(SEND_ERROR "the log has ${n} beginnings")
endif()

# ---- mistakes: one sentence, nothing written -----------------------------------------------------
function(refused)
  expect(CODE 2 ${ARGN} --out refused)
  if(EXISTS ${WORK}/refused)
    message(SEND_ERROR "${ARGN} left a folder behind")
    file(REMOVE_RECURSE ${WORK}/refused)
  endif()
endfunction()
set(one "weft train: one of --config FILE, --task NAME, --resume DIR and --init DIR is needed\n")
expect(CODE 2 ERR "${one}" ARGS train)
refused(ERR "${one}" ARGS train --config tiny.ini --task copy)
# An unset shell variable must not become the root of the file system (where a configuration that does
# not fit keeps even a wrong program from writing).
expect(CODE 2 ERR "weft train: --out needs the name of a folder\n" ARGS ${tiny} --set model.heads=3 --out=)
expect(CODE 2 ERR "weft train: --resume needs the name of a folder\n" ARGS train --resume= --set model.heads=3)
expect(CODE 2 ERR "weft train: --resume goes on in its own folder, without --out\n" ARGS train --resume b --out c)
expect(CODE 2 ERR "weft train: b exists already: name another folder with --out, or go on with --resume b\n"
       ARGS ${tiny} --out b)
expect(CODE 2 ERR_HAS "^weft train: [^\n]*nowhere[^\n]*\n$" ARGS train --resume nowhere)
refused(ERR_HAS "^weft train: nofile.ini[^\n]*\n$" ARGS train --config nofile.ini)
refused(ERR_HAS "^weft train: data.test_length = 9 must be above the 20 symbols of training\n$" ARGS ${tiny} --set data.test_length=9)
refused(ERR_HAS "^weft train: [^\n]*phrasse[^\n]*phrases[^\n]*\n$" ARGS train --task phrasse)
refused(ERR_HAS "^weft train: [^\n]*model.headz[^\n]*model.heads[^\n]*\n$" ARGS ${tiny} --set model.headz=2)
refused(ERR_HAS "^weft train: [^\n]*model.dropout[^\n]*\n$" ARGS ${tiny} --set model.dropout=1)
refused(ERR "weft train: train.monitor needs data.valid: there is nothing to validate on\n"
        ARGS ${tiny} --set data.task= --set data.train=no.tsv --set train.monitor=chrf)
refused(ERR_HAS "^weft train: [^\n]*divisible[^\n]*\n$" ARGS ${tiny} --set model.heads=3)
refused(ERR_HAS "^weft train: [^\n]*no.tsv[^\n]*\n$" ARGS ${tiny} --set data.task= --set data.train=no.tsv)
refused(ERR "weft train: --threads 257: a whole number from 0 to 256 is needed${try}" ARGS ${tiny} --threads 257)
expect(CODE 2 ERR_HAS "^weft train: [^\n]*\"d_model = 16\"[^\n]*\n$" ARGS train --resume b --set model.d_model=32)
file(WRITE ${WORK}/pairs.tsv "a\tb\nno tab\n")
refused(ERR_HAS "^weft train: pairs.tsv:2:[^\n]*\n$" ARGS ${tiny} --set data.task= --set data.train=pairs.tsv)

# Two runs that begin at once: one gets the folder.
file(WRITE ${WORK}/twice.sh "
run() { '${WEFT}' train --config tiny.ini --threads 1 --out twice > $1.out 2> $1.err; echo $? > $1.code; }
run one & run two & wait
cat one.code two.code | sort | tr '\\n' ' '
cat one.err two.err | grep -c 'weft train: twice exists already\\|twice: another weft train is at work'
")
execute_process(COMMAND sh twice.sh WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE out)
if(NOT out STREQUAL "0 2 1\n")
  message(SEND_ERROR "two runs with one folder: ${out}")
endif()

# A damaged checkpoint.
file(COPY ${WORK}/b/config.ini DESTINATION ${WORK}/damaged)
execute_process(COMMAND head -c 20000 ${WORK}/b/checkpoint.h5 OUTPUT_FILE ${WORK}/damaged/checkpoint.h5)
expect(CODE 2 ERR_HAS "^weft train: damaged/checkpoint.h5[^\n]*\n$" ARGS train --resume damaged)

# A folder that cannot be made.
file(WRITE ${WORK}/file "")
expect(CODE 2 ERR_HAS "^weft train: file/x?[^\n]*\n$" ARGS ${tiny} --out file/x)

# A learning rate that is far too high: where it went wrong, and the checkpoint from before.
expect(CODE 1 ARGS ${tiny} --out nan --set optim.kind=sgd --set optim.lr=1e6
       ERR_HAS "\nnan/checkpoint.h5 holds the last good state\nweft train: update [0-9]+: [a-z]+[^\n]* -?inf [^\n]*\n$")
expect(CODE 1 ARGS train --resume nan --threads 1 ERR_HAS "weft train: update [0-9]+: [^\n]*\n$")

# ---- two runs in one folder: the second one is refused, whether the first is new or resumed
execute_process(COMMAND sh -c "\"$0\" train --config tiny.ini --threads 1 --out shared --set train.max_updates=1000000 --set optim.schedule=constant 2>first.err & pid=$!; \
  n=0; while [ $n -lt 600 ] && ! [ -s shared/log.jsonl ]; do sleep 0.1; n=$((n + 1)); done; \
  \"$0\" train --resume shared 2>second.err; echo $?; kill -9 $pid; wait $pid; \
  \"$0\" train --resume shared --set train.max_updates=1 --set train.target_exact=0 >/dev/null 2>third.err; echo $?" ${WEFT}
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE codes ERROR_QUIET)
file(READ ${WORK}/second.err second)
if(NOT codes STREQUAL "2\n0\n" OR NOT second STREQUAL
   "weft train: shared: another weft train is at work in this folder; wait for its end, or stop it\n")
  message(SEND_ERROR "two runs in one folder: exit codes ${codes}, and\n${second}")
endif()
