# weft bench translate: the form of what scripts read, and mistakes. Never the times.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

expect(CODE 0 OUT_HAS "held-out" ERR_HAS "update" ARGS train --task copy --out model --set data.train_size=100
       --set data.valid_size=12 --set model.d_model=8 --set model.ffn=8 --set model.heads=2
       --set model.encoder_layers=1 --set model.decoder_layers=1 --set train.max_updates=2
       --set train.batch_tokens=100 --set train.target_exact=0 --set train.max_decode_length=9 --set optim.schedule=constant)
file(WRITE ${WORK}/source "abc\nde\n\nf\n")
set(translate bench translate --model model --threads 2)

# An empty line says nothing but </s>.
execute_process(COMMAND ${WEFT} ${translate} --source source --passes 2 --beam 3 --json --profile
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE out RESULT_VARIABLE code ERROR_VARIABLE err)
string(REGEX REPLACE "\n.*" "" first "${out}")
string(JSON n_keys ERROR_VARIABLE none LENGTH "${first}")
foreach(expected sentences=4 beam=3 threads=2)
  string(REPLACE "=" ";" expected ${expected})
  list(GET expected 0 key)
  list(GET expected 1 wanted)
  string(JSON value ERROR_VARIABLE missing GET "${first}" ${key})
  if(NOT value STREQUAL wanted)
    message(SEND_ERROR "weft bench translate: ${key} is ${value}, not ${wanted}: ${first}")
  endif()
endforeach()
string(JSON tokens GET "${first}" tokens)
if(NOT code EQUAL 0 OR NOT n_keys EQUAL 8 OR tokens LESS 4 OR tokens GREATER 31 OR
   NOT out MATCHES "\"operation\": \"attention\", \"pass\": \"forward\"")
  message(SEND_ERROR "weft bench translate: exit code ${code}, ${err}${out}")
endif()
expect(CODE 0 STDIN ${WORK}/source ARGS ${translate} --passes 1
       OUT_HAS "^4 sentences, [0-9]+ tokens said, beam 4, 2 threads: [0-9.]+ s .quickest [0-9.]+., [0-9]+ tokens/s, [0-9]+ sentences/s\n$")

expect(CODE 2 ARGS bench translate ERR "weft bench translate: one model is needed: --model DIR\n")
expect(CODE 2 ARGS bench translate --model a --model b ERR "weft bench translate: one model is needed: --model DIR\n")
expect(CODE 2 ARGS ${translate} --source nofile ERR_HAS "^weft bench translate: nofile: No such file[^\n]*\n$")
file(WRITE ${WORK}/nothing "")
expect(CODE 2 ARGS ${translate} --source nothing ERR "weft bench translate: nothing: the file is empty\n")
expect(CODE 2 ARGS ${translate} --source source --passes 0 ERR_HAS "^weft bench translate: --passes 0")
