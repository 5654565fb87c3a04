# weft plan: the table, its sum, the largest batch, and mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

set(small --task copy --set data.train_size=300 --set model.d_model=32 --set model.ffn=64
          --set train.batch_tokens=500)
expect(CODE 0 ARGS plan ${small} --threads 1
  OUT_HAS "^A step of [0-9]+ sentences, [0-9]+ source and [0-9]+ target tokens .*batch_tokens = 500.*\nparameters +[0-9.]+ +[0-9.]+\n.*encoder.layers.1 .*decoder.layers.1 .*workspace .*all of the step .*program and libraries")

function(plan_json result)
  execute_process(COMMAND ${WEFT} plan ${small} --json ${ARGN} OUTPUT_VARIABLE out
    RESULT_VARIABLE code ERROR_VARIABLE err WORKING_DIRECTORY ${WORK})
  if(NOT code STREQUAL 0)
    message(SEND_ERROR "weft plan --json ${ARGN}: exit code ${code}: ${err}")
  endif()
  set(${result} "${out}" PARENT_SCOPE)
endfunction()
plan_json(out --memory 1G)
string(JSON plan GET "${out}" plan)
set(sum 0)
foreach(key batch output workspace gaps)
  string(JSON bytes GET "${plan}" ${key})
  math(EXPR sum "${sum} + ${bytes}")
endforeach()
string(JSON n_parts LENGTH "${plan}" parts)
math(EXPR last "${n_parts} - 1")
foreach(i RANGE ${last})
  string(JSON values GET "${plan}" parts ${i} activations)
  string(JSON gradients GET "${plan}" parts ${i} gradients)
  math(EXPR sum "${sum} + ${values} + ${gradients}")
endforeach()
string(JSON tape GET "${plan}" tape)
if(NOT sum EQUAL tape)
  message(SEND_ERROR "weft plan: the kinds add up to ${sum}, the tape is ${tape}: ${plan}")
endif()
string(JSON libraries GET "${out}" libraries)
string(JSON n_largest GET "${out}" largest sentences)
if(NOT n_largest EQUAL 300 OR libraries LESS 100000)
  message(SEND_ERROR "weft plan --memory 1G: not all 300 sentences in ${out}")
endif()

# Without data; a model that no computer here could hold.
expect(CODE 0 ARGS plan --task copy --tokens 4096 --length 64 --vocab 1000
           --set model.d_model=65536 --set model.ffn=1048576
       OUT_HAS "^A step of 64 sentences, 4096 source and 4096 target tokens")

# The answer is no.
expect(CODE 1 ARGS plan ${small} --memory 1K ERR_HAS "^weft plan: --memory 1K: .* alone take [0-9]+ MiB\n$")

expect(CODE 2 ARGS plan ERR "weft plan: one of --config FILE and --task NAME is needed\n")
expect(CODE 2 ARGS plan ${small} --memory lots ERR_HAS "^weft plan: --memory lots: bytes, or a number with K, M, G or T")
expect(CODE 2 ARGS plan ${small} --memory -1G ERR_HAS "^weft plan: --memory -1G: bytes")
expect(CODE 2 ARGS plan ${small} --length 9 ERR_HAS "--length and --vocab go with --tokens")
expect(CODE 2 ARGS plan --config no/such.ini ERR_HAS "^weft plan: no/such.ini: ")
expect(CODE 2 ARGS plan ${small} --set model.heads=5 ERR_HAS "^weft plan: .*model.heads = 5")
expect(CODE 2 ARGS plan ${small} --tokens 100 --set model.heads=5 ERR_HAS "^weft plan: .*model.heads = 5")
expect(CODE 2 ARGS plan --task copy --tokens 9 --set data.max_vocab=0 ERR_HAS "--vocab N is needed")
