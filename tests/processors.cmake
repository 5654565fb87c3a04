# Kernels for AVX2 and for plain x86-64: a short training on processors without the instructions of this
# one, which QEMU imitates, ends in the bits that the same kernel of products gives here. So all kernels
# of weft's own have the same bits whatever the loader chose, and no instruction is used unasked.
set(train train --task copy --threads 1 --set data.train_size=60 --set data.valid_size=4
  --set model.d_model=16 --set model.ffn=32 --set model.heads=2 --set model.encoder_layers=1
  --set model.decoder_layers=1 --set model.dropout=0.1 --set model.activation=gelu
  --set train.max_updates=4 --set train.batch_tokens=100 --set train.max_decode_length=8
  --set train.target_exact=0 --set optim.warmup=1)

function(run result)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
  set(${result} ${code} PARENT_SCOPE)
  set(said "${out}${err}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(n_compared 0)
foreach(pair IN ITEMS haswell/Haswell generic/qemu64)
  string(REGEX MATCH "(.*)/(.*)" all ${pair})
  set(kernel ${CMAKE_MATCH_1})
  set(processor ${CMAKE_MATCH_2})
  # OMP_WAIT_POLICY: else weft would begin anew, outside of QEMU
  set(with ${CMAKE_COMMAND} -E env OMP_WAIT_POLICY=passive BLIS_ARCH_TYPE=${kernel})
  run(code ${with} ${WEFT} ${train} --out ${kernel})
  if(code EQUAL 2 AND said MATCHES "gemm: kernel ${kernel} needs")
    continue() # this processor is no better than the imitated one
  elseif(NOT code EQUAL 0)
    message(FATAL_ERROR "with kernel ${kernel}: exit code ${code}: ${said}")
  endif()
  run(code ${with} ${QEMU} -cpu ${processor} ${WEFT} ${train} --out ${processor})
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "on ${processor}: exit code ${code}: ${said}")
  endif()
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${WORK}/${kernel}/checkpoint.h5
    ${WORK}/${processor}/checkpoint.h5 RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "kernel ${kernel} has other bits here than on ${processor}")
  endif()
  math(EXPR n_compared "${n_compared} + 1")
  run(code ${with} ${QEMU} -cpu ${processor} ${WEFT} bench step --workload gpt --precision bf16)
  if(NOT code EQUAL 2 OR NOT said MATCHES "weft bench step: products in bfloat16 need AVX512_BF16")
    message(FATAL_ERROR "bf16 on ${processor}: exit code ${code}: ${said}")
  endif()
endforeach()
if(n_compared EQUAL 0)
  message(FATAL_ERROR "nothing was compared")
endif()
