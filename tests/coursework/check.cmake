# An exercise with its gap fails and gives its hint; with the gap filled it is solved.
execute_process(COMMAND ${EXERCISE} OUTPUT_VARIABLE out RESULT_VARIABLE code)
if(NOT code EQUAL 1 OR NOT out MATCHES "[^\n]+\nnot yet: [^\n]+\n$")
  message(SEND_ERROR "${EXERCISE}: exit code ${code}\n${out}")
endif()
execute_process(COMMAND ${SOLVED} OUTPUT_VARIABLE out RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT out MATCHES "solved\n$")
  message(SEND_ERROR "${SOLVED}: exit code ${code}\n${out}")
endif()
