# weft bench step: the form of what scripts and viewers read, and mistakes. Never the times.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

execute_process(COMMAND ${WEFT} bench step --workload gpt --steps 2 --threads 2 --json --profile
                        --trace trace.json
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE out RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code STREQUAL 0)
  message(FATAL_ERROR "weft bench step: exit code ${code}: ${err}")
endif()
string(REPLACE "\n" ";" lines "${out}")
list(POP_FRONT lines step)
string(JSON n_keys LENGTH "${step}")
set(keys workload threads ms ms_min ms_max tokens_per_s gemm_ms peak_MiB params faults allocations kernel)
list(LENGTH keys n_wanted)
foreach(key IN LISTS keys)
  string(JSON value ERROR_VARIABLE missing GET "${step}" ${key})
  if(missing OR NOT n_keys EQUAL n_wanted)
    message(SEND_ERROR "weft bench step --json: ${n_keys} keys, ${key} ${missing} in ${step}")
  endif()
endforeach()

# The table: the rows add up to the last one, the step (ten thousandths of a millisecond).
function(ten_thousandths line result)
  string(JSON ms GET "${line}" ms)
  if(NOT ms MATCHES "^(-?)0*([0-9]+)(\\.[0-9]*)?$")
    message(SEND_ERROR "no milliseconds: ${line}")
  endif()
  set(whole "${CMAKE_MATCH_1}${CMAKE_MATCH_2}")
  set(sign "${CMAKE_MATCH_1}")
  string(SUBSTRING "${CMAKE_MATCH_3}00000" 1 4 digits)
  math(EXPR sum "${whole} * 10000 + ${sign}1${digits} - ${sign}10000") # 0042 is no octal number
  set(${result} ${sum} PARENT_SCOPE)
endfunction()
list(REMOVE_ITEM lines "")
list(POP_BACK lines total)
ten_thousandths("${total}" step_ms)
set(sum 0)
set(seen "")
foreach(line IN LISTS lines)
  string(JSON operation GET "${line}" operation)
  string(JSON pass GET "${line}" pass)
  list(APPEND seen ${operation}/${pass})
  ten_thousandths("${line}" ms)
  math(EXPR sum "${sum} + ${ms}")
endforeach()
math(EXPR apart "${sum} - (${step_ms})")
if(apart GREATER 20 OR apart LESS -20)
  message(SEND_ERROR "the rows add up to ${sum}, the step is ${step_ms}:\n${out}")
endif()
foreach(wanted linear/forward linear/backward attention/backward projection_loss/forward
        embedding/backward optimiser/update tape/all)
  if(NOT wanted IN_LIST seen)
    message(SEND_ERROR "no row ${wanted} in ${seen}")
  endif()
endforeach()
foreach(key gflops part_of_peak share calls)
  list(GET lines 0 first)
  string(JSON value ERROR_VARIABLE missing GET "${first}" ${key})
  if(missing)
    message(SEND_ERROR "--profile: ${missing} in ${first}")
  endif()
endforeach()

# The trace: both steps, and operations that say where in the model they stand.
file(READ ${WORK}/trace.json trace)
string(JSON n_events LENGTH "${trace}" traceEvents)
string(JSON first GET "${trace}" traceEvents 0 name)
string(REGEX MATCHALL "\"cat\": \"step\", \"ph\": \"X\"" steps "${trace}")
list(LENGTH steps n_steps)
if(NOT first STREQUAL "step" OR NOT n_steps EQUAL 2 OR n_events LESS 100)
  message(SEND_ERROR "--trace: ${n_events} events, ${n_steps} steps, the first event is ${first}")
endif()
if(NOT trace MATCHES "\"name\": \"attention\", \"cat\": \"backward\"[^}]*\"scope\": \"decoder[^\"]+\"")
  message(SEND_ERROR "--trace: no attention/backward within the decoder")
endif()

# A steady step takes no memory from the heap.
expect(CODE 0 ARGS bench step --workload gpt --steps 1 --profile
  OUT_HAS "gpt: [^\n]* ms a step[^\n]*\n.*\nin these steps [0-9]+ page faults, 0 allocations\n.*linear +backward +[0-9]+ .*GFLOP/s.*\nstep +all ")
# Other precision: named in the kernel; refused with another kernel, which stands for another processor.
set(ENV{BLIS_ARCH_TYPE} generic)
execute_process(COMMAND ${WEFT} bench step --workload gpt --steps 1 --precision bf16 --json
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE out RESULT_VARIABLE code ERROR_VARIABLE err)
unset(ENV{BLIS_ARCH_TYPE})
if(NOT (code EQUAL 0 AND out MATCHES "avx512-bf16") AND # without BLIS nobody reads the variable
   NOT (code EQUAL 2 AND err MATCHES "^weft bench step: products in bfloat16 need [^\n]*\n$"))
  message(SEND_ERROR "weft bench step --precision bf16: exit code ${code}: ${out}${err}")
endif()

expect(CODE 2 ARGS bench step --workload huge ERR_HAS "^weft bench step: [^\n]*huge[^\n]*\n")
expect(CODE 2 ARGS bench step --steps 0 ERR_HAS "^weft bench step: [^\n]*--steps 0[^\n]*\n")
expect(CODE 3 ARGS bench step --trace no/such/folder/t.json
  ERR_HAS "^weft bench step: [^\n]*no/such/folder/t.json[^\n]*\n")
