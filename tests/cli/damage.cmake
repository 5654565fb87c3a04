# Checkpoints that are damaged or foreign, models too large for the machine, and a disk that is full:
# one clear sentence, and nothing half-written.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

set(tiny train --task copy --threads 1 --set data.train_size=100 --set data.valid_size=12
  --set model.d_model=16 --set model.ffn=32 --set model.heads=2 --set model.encoder_layers=1
  --set model.decoder_layers=1 --set train.max_updates=3 --set train.batch_tokens=150
  --set train.target_exact=0 --set train.max_decode_length=22 --set optim.warmup=1)
expect(CODE 0 ARGS ${tiny} --out run OUT_HAS "exact match" ERR_HAS "update 3/3")

# ---- checkpoints: cut off, with bits flipped, of another kind. 5,000 bytes hold the head and a part;
# byte 33,400 of such a file lies in the values of a parameter.
set(good run/checkpoint.h5)
execute_process(COMMAND head -c 5000 ${good} WORKING_DIRECTORY ${WORK} OUTPUT_FILE ${WORK}/cut.h5)
file(COPY_FILE ${WORK}/${good} ${WORK}/flip.h5)
execute_process(COMMAND sh -c "printf '\\125\\252\\125' | dd of=flip.h5 bs=1 seek=33400 conv=notrunc"
  WORKING_DIRECTORY ${WORK} ERROR_QUIET)
file(WRITE ${WORK}/text.h5 "no checkpoint\n")
file(WRITE ${WORK}/none.h5 "")
set(cut "5000")
set(flip "hash")
set(text "not an HDF5 file")
set(none "empty")
file(MAKE_DIRECTORY ${WORK}/damaged)
file(COPY_FILE ${WORK}/run/config.ini ${WORK}/damaged/config.ini)
foreach(kind cut flip text none)
  foreach(command "inspect" "translate;--model" "generate;--model")
    list(GET command 0 name)
    expect(CODE 2 ARGS ${command} ${kind}.h5
           ERR_HAS "^weft ${name}: ${kind}.h5: [^\n]*${${kind}}[^\n]*\n$")
  endforeach()
  file(COPY_FILE ${WORK}/${kind}.h5 ${WORK}/damaged/checkpoint.h5)
  expect(CODE 2 ARGS train --resume damaged
         ERR_HAS "^weft train: damaged/checkpoint.h5: [^\n]*${${kind}}[^\n]*\n$")
endforeach()

# An HDF5 file of another program.
expect(CODE 2 ARGS inspect ${SOURCE}/tests/golden/pytorch.h5 ERR_HAS "^weft inspect: [^\n]*weft does not know[^\n]*\n$")

# A model of another shape cannot go on.
expect(CODE 2 ARGS train --resume run --set model.d_model=32
       ERR_HAS "^weft train: [^\n]*d_model = 16[^\n]*d_model = 32[^\n]*\n$")

# ---- a model of 2^44 parameters and more: no folder is made
expect(CODE 3 ARGS ${tiny} --set model.d_model=65536 --set model.ffn=1048576 --set model.encoder_layers=64
       --set model.decoder_layers=64 --out large ERR_HAS "^weft train: [^\n]*out of memory[^\n]*\n$")
if(EXISTS ${WORK}/large)
  message(SEND_ERROR "a folder was made for a model that does not fit")
endif()

# ---- a full disk: exit code 3, no checkpoint and no temporary file. full(FOLDER why command...)
function(full folder why)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
  file(GLOB left RELATIVE ${WORK}/${folder} ${WORK}/${folder}/*.h5*)
  if(NOT code EQUAL 3 OR NOT err MATCHES "\nweft train: ${folder}/checkpoint.h5[^\n]*${why}\n$" OR left)
    message(SEND_ERROR "a full disk: exit code ${code}, files left: ${left}\n${out}${err}")
  endif()
endfunction()
list(JOIN tiny " " tiny_text)
# A limit on the size of files fails in the same place, and everyone may set one.
file(WRITE ${WORK}/limited.sh "trap '' XFSZ\nulimit -f 16\nexec '${WEFT}' ${tiny_text} --out limited\n")
full(limited "File too large" sh limited.sh)

file(MAKE_DIRECTORY ${WORK}/disk)
execute_process(COMMAND mount -t tmpfs -o size=64k none ${WORK}/disk RESULT_VARIABLE code
  OUTPUT_QUIET ERROR_QUIET)
if(code EQUAL 0)
  full(disk/run "No space left on device" ${WEFT} ${tiny} --out disk/run)
  execute_process(COMMAND umount ${WORK}/disk)
else()
  message(STATUS "skipped: a disk of 64 KiB (only root may mount one)")
endif()
