# The program itself: help, version, mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

expect(CODE 0 OUT_HAS "^usage: weft COMMAND.*\n  score  .*Exit codes: 0 done" ARGS --help)
expect(CODE 0 OUT_HAS "^usage: weft COMMAND" ARGS -h)
expect(CODE 0 OUT_HAS "^weft [0-9]+\\.[0-9]+\\.[0-9]+\n$" ARGS --version)
expect(CODE 2 ERR "weft: a command is needed\nTry: weft --help\n")
expect(CODE 2 ERR "weft: unknown command scroe (did you mean score?)\nTry: weft --help\n" ARGS scroe)
expect(CODE 2 ERR "weft: unknown command xyzzyplugh\nTry: weft --help\n" ARGS xyzzyplugh)
expect(CODE 2 ERR "weft: unknown command --score (did you mean score?)\nTry: weft --help\n" ARGS --score)

expect(CODE 2 ERR "weft bench: a command is needed\nTry: weft bench --help\n" ARGS bench)
expect(CODE 2 ERR "weft bench: unknown command gem (did you mean gemm?)\nTry: weft bench --help\n" ARGS bench gem)
expect(CODE 0 OUT_HAS "^usage: weft bench gemm " ARGS bench gemm --help)
foreach(n IN ITEMS -1 257 two 1.5)
  expect(CODE 2 ARGS bench gemm --threads=${n}
         ERR "weft bench gemm: --threads ${n}: a whole number from 0 to 256 is needed\nTry: weft bench gemm --help\n")
endforeach()

# Nothing is lost in silence when the output cannot be written.
if(EXISTS /dev/full)
  execute_process(COMMAND ${WEFT} --help OUTPUT_FILE /dev/full RESULT_VARIABLE code
                  ERROR_VARIABLE err)
  if(NOT code EQUAL 3 OR NOT err STREQUAL "weft: the standard output could not be written\n")
    message(SEND_ERROR "a full disk: exit code ${code}, ${err}")
  endif()
endif()

# A closed descriptor does not become that of a file: the output is lost with a sentence, the reference
# is not read as hypotheses.
file(WRITE ${WORK}/lines "a\n")
execute_process(COMMAND sh -c "exec \"$0\" --help >&-" ${WEFT} RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 3 OR NOT err STREQUAL "weft: the standard output could not be written\n")
  message(SEND_ERROR "closed output: exit code ${code}, ${err}")
endif()
foreach(input "<&-" "< .")
  execute_process(COMMAND sh -c "exec \"$0\" score --ref lines ${input}" ${WEFT}
                  WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT code EQUAL 2 OR out OR NOT err MATCHES "^weft score: [^\n]*\n$")
    message(SEND_ERROR "${input}: exit code ${code}, ${out}${err}")
  endif()
endforeach()

# Nor does a limit on the size of files end the program without a word.
execute_process(COMMAND sh -c "ulimit -f 0 && exec \"$0\" --help >limited" ${WEFT}
                WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 3 OR NOT err STREQUAL "weft: the standard output could not be written\n")
  message(SEND_ERROR "a limited file: exit code ${code}, ${err}")
endif()
