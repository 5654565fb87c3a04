# A run that is killed without warning, wherever it stands, goes on to the same bytes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

file(WRITE ${WORK}/tiny.ini
"[data]
task = copy
train_size = 100
valid_size = 12
[model]
d_model = 16
ffn = 32
heads = 2
encoder_layers = 1
decoder_layers = 1
[train]
max_updates = 300
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
expect(CODE 0 ARGS train --config tiny.ini --threads 1 --out whole OUT_HAS "match" ERR_HAS "300/300")

# Killed five times, each up to 0.3 s after its first checkpoint was there: in updates, validations and saves.
file(WRITE ${WORK}/kill.sh "
'${WEFT}' train --config tiny.ini --threads 1 --out killed > /dev/null 2>&1 &
for i in 1 2 3 4 5; do
  pid=$!
  n=0
  until [ -e killed/checkpoint.h5 ]; do sleep 0.02; n=$((n + 1)); [ $n -lt 3000 ] || exit 1; done
  sleep $(printf '0.%03d' $(od -An -N1 -tu1 /dev/urandom))
  kill -9 $pid 2> /dev/null
  wait $pid
  '${WEFT}' train --resume killed --threads 1 > /dev/null 2> killed.err &
done
wait $!
")
execute_process(COMMAND sh kill.sh WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code ERROR_QUIET)
file(READ ${WORK}/killed.err err)
if(NOT code EQUAL 0)
  message(SEND_ERROR "the last part of the killed run: exit code ${code}\n${err}")
endif()
file(GLOB files RELATIVE ${WORK}/whole ${WORK}/whole/*)
file(GLOB left RELATIVE ${WORK}/killed ${WORK}/killed/*)
if(NOT files STREQUAL left)
  message(SEND_ERROR "the folders hold ${files} and ${left}")
endif()
list(FILTER files INCLUDE REGEX "\\.h5$")
foreach(file IN LISTS files)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files whole/${file} killed/${file}
                  WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(SEND_ERROR "${file} differs")
  endif()
endforeach()
