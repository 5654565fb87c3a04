# Run the program from outside and look at exit code, standard output and standard error.
#   cmake -DWEFT=PROGRAM -DSOURCE=DIR -DWORK=DIR -P tests/cli/NAME.cmake
cmake_minimum_required(VERSION 3.25)
set(golden ${SOURCE}/tests/golden/sacrebleu)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

# Of section [model]: the least that trains.
set(tiny_model
"d_model = 16
ffn = 32
heads = 2
encoder_layers = 1
decoder_layers = 1")

# expect(CODE code [STDIN file] [OUT text | OUT_HAS regex] [ERR text | ERR_HAS regex] ARGS arg...)
# Without OUT and OUT_HAS nothing may be printed there; likewise for ERR. A command that hangs is named.
function(expect)
  cmake_parse_arguments(PARSE_ARGV 0 e "" "CODE;STDIN;OUT;OUT_HAS;ERR;ERR_HAS" "ARGS")
  if(NOT e_STDIN)
    set(e_STDIN /dev/null)
  endif()
  execute_process(COMMAND ${WEFT} ${e_ARGS} INPUT_FILE ${e_STDIN} WORKING_DIRECTORY ${WORK} TIMEOUT 600
                  RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
  set(wrong "")
  if(NOT code STREQUAL e_CODE)
    string(APPEND wrong "exit code ${code}, expected ${e_CODE}\n")
  endif()
  foreach(stream OUT ERR)
    string(TOLOWER ${stream} name)
    if(e_${stream}_HAS)
      if(NOT ${name} MATCHES "${e_${stream}_HAS}")
        string(APPEND wrong "no ${e_${stream}_HAS} in ${name}\n")
      endif()
    elseif(NOT ${name} STREQUAL "${e_${stream}}")
      string(APPEND wrong "expected ${name}: ${e_${stream}}\n")
    endif()
  endforeach()
  if(wrong)
    message(SEND_ERROR "weft ${e_ARGS}\n${wrong}---- out\n${out}---- err\n${err}")
  endif()
endfunction()
