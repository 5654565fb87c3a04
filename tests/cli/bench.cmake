# weft bench step: the keys that scripts rely on, and mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

execute_process(COMMAND ${WEFT} bench step --workload gpt --steps 1 --json
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE json RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code STREQUAL 0)
  message(SEND_ERROR "weft bench step: exit code ${code}: ${err}")
endif()
foreach(key workload threads ms ms_min ms_max tokens_per_s gemm_ms peak_MiB params kernel)
  string(JSON value ERROR_VARIABLE missing GET "${json}" ${key})
  if(missing)
    message(SEND_ERROR "weft bench step --json: ${missing} in ${json}")
  endif()
endforeach()
expect(CODE 2 ARGS bench step --workload huge ERR_HAS "^weft bench step: [^\n]*huge[^\n]*\n")
expect(CODE 2 ARGS bench step --steps 0 ERR_HAS "^weft bench step: [^\n]*--steps 0[^\n]*\n")
