# A run that is killed without warning, wherever it stands, goes on to the same bytes. ./run soak gives KILLS:
# more instants, in a run that is longer.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)
if(DEFINED KILLS)
  set(soak ON)
  set(updates 10000)
else()
  set(soak OFF)
  set(KILLS 5)
  set(updates 300)
endif()

file(WRITE ${WORK}/plain.ini
"[data]
task = copy
train_size = 100
valid_size = 12
[model]
${tiny_model}
[train]
max_updates = ${updates}
batch_tokens = 150
validate_every = 20
checkpoint_every = 6
keep = 2
max_decode_length = 22
[optim]
lr = 0.003
schedule = cosine
warmup = 4
")
# Whatever else has a state: pieces cut anew in every epoch, products in bfloat16, a running average,
# accumulated batches of two texts with weights, the best of several validations, dropout, a beam.
foreach(side a b)
  set(text "")
  foreach(n RANGE 1 60)
    math(EXPR x "${n} * 7 % 31")
    math(EXPR y "${n} * ${x} % 47")
    string(APPEND text "lo${x}west new${y}er wide${n}\thoch${y} neu${x}er weit${n}st\n")
  endforeach()
  file(WRITE ${WORK}/${side}.tsv "${text}")
endforeach()
file(WRITE ${WORK}/every.ini
"[data]
train = a.tsv
train2 = b.tsv
weight2 = 0.5
valid = a.tsv
vocab = bpe
merges = 60
bpe_dropout = 0.1
tokenise = punct
joint_vocab = true
[model]
${tiny_model}
dropout = 0.1
tie = all
[train]
max_updates = ${updates}
batch_tokens = 300
accumulate = 2
precision = bf16
ema = 0.9
validate_every = 20
validate_sentences = 10
checkpoint_every = 6
keep = 2
keep_best = 3
monitor = bleu
beam = 2
max_decode_length = 22
[optim]
lr = 0.003
schedule = cosine
warmup = 4
")
execute_process(COMMAND ${WEFT} bench step --workload gpt --steps 1 --precision bf16 RESULT_VARIABLE code
                OUTPUT_QUIET ERROR_QUIET)
if(NOT code EQUAL 0) # this processor has none
  file(READ ${WORK}/every.ini every)
  string(REPLACE "bf16" "float" every "${every}")
  file(WRITE ${WORK}/every.ini "${every}")
endif()

# Killed as soon as the folder is there, its configuration, and its log, while the first checkpoint is made: from there
# the run begins anew. Says what was in the folder. Then KILLS times, each up to $2 ms after it began and its first
# checkpoint was there: in updates, validations and saves. Says the last update in the log each time.
file(WRITE ${WORK}/kill.sh "
go() {
  if [ -e $1-killed/config.ini ]; then
    exec '${WEFT}' train --resume $1-killed --threads 1
  else
    exec '${WEFT}' train --config $1.ini --threads 1 --out $1-killed
  fi > /dev/null 2> $1.err
}
go $1 &
for early in $1-killed $1-killed/config.ini $1-killed/log.jsonl; do
  pid=$!
  until [ -e $early ] || [ -e $1-killed/checkpoint.h5 ] || ! kill -0 $pid; do :; done
  kill -9 $pid && ls $1-killed | tr '\\n' ' ' >> early
  echo / >> early
  wait $pid
  go $1 &
done
for i in $(seq ${KILLS}); do
  pid=$!
  n=0
  until [ -e $1-killed/checkpoint.h5 ]; do sleep 0.02; n=$((n + 1)); [ $n -lt 3000 ] || exit 1; done
  ms=$(($(od -An -N1 -tu1 /dev/urandom) * $2 / 255))
  sleep $(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))
  kill -9 $pid 2> /dev/null && sed -n '$s/.*\"update\": \\([0-9]*\\).*/\\1/p' $1-killed/log.jsonl
  wait $pid
  go $1 &
done
wait $!
")
set(says_plain OUT_HAS "match")
foreach(form plain every)
  string(TIMESTAMP began "%s%f")
  expect(CODE 0 ARGS train --config ${form}.ini --threads 1 --out ${form} ${says_${form}} ERR_HAS "${updates}/${updates}")
  string(TIMESTAMP ended "%s%f")
  math(EXPR most_ms "(${ended} - ${began}) * 6 / 5 / ${KILLS} / 1000") # six tenths of the run, on average
  execute_process(COMMAND sh kill.sh ${form} ${most_ms} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code OUTPUT_VARIABLE instants
                  ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+" instants "${instants}")
  list(LENGTH instants n_killed)
  list(JOIN instants " " instants)
  file(READ ${WORK}/early early)
  file(REMOVE ${WORK}/early)
  string(REPLACE "\n" " " early "${early}")
  message(STATUS "${form}: killed with / ${early}in the folder, and ${n_killed} times after update ${instants}")
  if(soak AND n_killed LESS KILLS)
    message(SEND_ERROR "${form}: the run ended before it was killed ${KILLS} times")
  endif()
  file(READ ${WORK}/${form}.err err)
  if(NOT code EQUAL 0)
    message(SEND_ERROR "the last part of the killed run: exit code ${code}\n${err}")
  endif()
  file(GLOB files RELATIVE ${WORK}/${form} ${WORK}/${form}/*)
  file(GLOB left RELATIVE ${WORK}/${form}-killed ${WORK}/${form}-killed/*)
  if(NOT files STREQUAL left)
    message(SEND_ERROR "the folders hold ${files} and ${left}")
  endif()
  foreach(dir ${form} ${form}-killed)
    execute_process(COMMAND sed -n "s/.*\"train\", \"update\": \\([0-9]*\\).*\"loss\": \\([^,]*\\).*/\\1: \\2/p" ${dir}/log.jsonl
                    WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE losses_${dir})
  endforeach()
  if(NOT losses_${form} MATCHES ": " OR NOT losses_${form} STREQUAL losses_${form}-killed)
    message(SEND_ERROR "${form}: the logs have the losses\n${losses_${form}}and\n${losses_${form}-killed}")
  endif()
  list(FILTER files INCLUDE REGEX "\\.h5$")
  foreach(file IN LISTS files)
    execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${form}/${file} ${form}-killed/${file}
                    WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
      message(SEND_ERROR "${form}: ${file} differs")
    endif()
  endforeach()
endforeach()
