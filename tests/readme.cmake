# Build and run the example of README.md; it must print what the README says it prints: the text
# between the fences ```text that follow it.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${BUILD} --target readme_example
                OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "the example does not build:\n${said}")
endif()
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE said RESULT_VARIABLE code)
file(READ ${README} readme)
string(FIND "${readme}" "```text\n" begin)
math(EXPR begin "${begin} + 8")
string(SUBSTRING "${readme}" ${begin} -1 readme)
string(FIND "${readme}" "```" end)
string(SUBSTRING "${readme}" 0 ${end} expected)
if(NOT code EQUAL 0 OR NOT said STREQUAL expected)
  message(FATAL_ERROR "the example ended with ${code} and printed\n${said}instead of\n${expected}")
endif()
