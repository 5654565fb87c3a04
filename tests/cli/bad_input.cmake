# What a newcomer may give to `weft train`: each gets one clear sentence, exit code 2, and nothing is
# written.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

# refused(REGEX arg...): weft train with data of two pairs, changed by the arguments.
set(tiny --set model.d_model=8 --set model.ffn=8 --set model.heads=2 --set model.encoder_layers=1
    --set model.decoder_layers=1 --set train.max_updates=1 --set train.batch_tokens=100)
function(refused regex)
  expect(CODE 2 ERR_HAS "^weft train: [^\n]*${regex}[^\n]*\n$" ARGS train ${tiny} ${ARGN} --out refused)
  if(EXISTS ${WORK}/refused)
    message(SEND_ERROR "weft train ${ARGN}: left an output folder behind")
    file(REMOVE_RECURSE ${WORK}/refused)
  endif()
endfunction()
function(bytes name text) # printf's escapes
  execute_process(COMMAND printf "${text}" OUTPUT_FILE ${WORK}/${name})
endfunction()

bytes(good.tsv "a b\\tc d\\nb a\\td c\\n")
bytes(empty.ini "[data]\\n")
set(data --config empty.ini --set data.train=good.tsv)

# ---- files
refused("nowhere.tsv" --config empty.ini --set data.train=nowhere.tsv)
refused("nowhere.ini" --config nowhere.ini)
refused("valid.tsv" ${data} --set data.valid=valid.tsv)
refused("test.tsv" ${data} --set data.test=test.tsv)
bytes(utf8.tsv "a b\\tc d\\nb \\377\\td c\\n")
refused("utf8.tsv:2:.*UTF-8" --config empty.ini --set data.train=utf8.tsv)
bytes(line.tsv "a b\\tc d\\n\\nb a\\td c\\n")
refused("line.tsv:2:" --config empty.ini --set data.train=line.tsv)
bytes(tab.tsv "a b\\tc d\\nno tab here\\n")
refused("tab.tsv:2:.*tab" --config empty.ini --set data.train=tab.tsv)
bytes(side.tsv "a b\\tc d\\n\\td c\\n")
refused("side.tsv:2:" --config empty.ini --set data.train=side.tsv)
bytes(nothing.tsv "")
refused("nothing.tsv" --config empty.ini --set data.train=nothing.tsv)
bytes(p.en "a b\\nb a\\na a\\n")
bytes(p.de "c d\\nd c\\n")
refused("3.*2" --config empty.ini --set data.train=p --set data.src=en --set data.tgt=de)
bytes(cut.tsv.gz "\\037\\213\\010\\000\\000")
refused("cut.tsv.gz" --config empty.ini --set data.train=cut.tsv.gz)
refused("" --config empty.ini --set data.train=.)

# ---- configuration
bytes(unknown.ini "[model]\\nd_modle = 8\\n")
refused("unknown.ini:2:.*d_modle.*d_model" --config unknown.ini --set data.train=good.tsv)
bytes(section.ini "[modle]\\nd_model = 8\\n")
refused("section.ini.*model" --config section.ini --set data.train=good.tsv)
bytes(value.ini "[model]\\ndropout = 1.5\\n")
refused("value.ini:2:.*dropout.*1.5" --config value.ini --set data.train=good.tsv)
bytes(type.ini "[model]\\nheads = many\\n")
refused("type.ini:2:.*heads.*many" --config type.ini --set data.train=good.tsv)
refused("heads" ${data} --set model.heads=3)
refused("nonsense" ${data} --set nonsense)
refused("d_model" ${data} --set model.d_model=99999999999999999999)
refused("phrases" --task phrase)
refused("add.*asked for 10[0-9]* distinct" --task add --set optim.warmup=0 --set data.train_size=10
        --set data.valid_size=1000000)
