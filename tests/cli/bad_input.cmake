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
bytes(utf16.tsv "\\377\\376a\\000\\t\\000b\\000\\n\\000")
refused("utf16.tsv: looks like UTF-16, and UTF-8 is needed: iconv " --config empty.ini --set data.train=utf16.tsv)
bytes(mac.tsv "a b\\tc d\\rb a\\td c\\r")
refused("mac.tsv: its lines end in CR alone, as on old Macs: tr " --config empty.ini --set data.train=mac.tsv)
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
refused("vocab.*beside data.task = copy" --task copy --set data.vocab=char)
refused("induction has a source and a target: it needs model.kind = encoder-decoder; a decoder alone" --task induction
        --set model.kind=decoder-only --set optim.schedule=constant)
refused("beam = 0" ${data} --set train.beam=0)
bytes(uneven.tsv "a\\tc d e f\\nb a c d\\td\\n") # two columns in the wrong order here and there
refused("no sentence is left: .*2 differ in length by more than max_ratio" --config empty.ini
        --set data.train=uneven.tsv --set data.max_ratio=2)
bytes(void.tsv "")
refused("void.tsv: the file is empty" ${data} --set data.valid=void.tsv)

# ---- what is forgiven, with a word where it is seldom meant
# taken(REGEX arg...): weft train works, and says so.
function(taken regex)
  file(REMOVE_RECURSE ${WORK}/taken)
  expect(CODE 0 ERR_HAS "${regex}" ARGS train ${tiny} ${ARGN} --out taken)
endfunction()
# vocabulary(n): as many tokens as the text has, so nothing strange became a part of a word.
function(vocabulary n)
  expect(CODE 0 OUT_HAS "target_vocab  *${n} tokens" ARGS inspect taken)
endfunction()
bytes(one.tsv "a b\\tc d\\n")
taken("the training text is one pair: is each sentence on a line of its own" --config empty.ini
      --set data.train=one.tsv)
bytes(dos.tsv "a b\\tc d\\r\\nb a\\td c\\r\\n")
taken("update 1/1" --config empty.ini --set data.train=dos.tsv)
vocabulary(7)
bytes(bom.tsv "\\357\\273\\277a b\\tc d\\nb a\\td c\\n")
taken("update 1/1" --config empty.ini --set data.train=bom.tsv)
vocabulary(7)
bytes(dos.ini "\\357\\273\\277[data]\\r\\ntrain = good.tsv\\r\\n")
taken("update 1/1" --config dos.ini)
taken("vocabulary 7," ${data} --set data.max_vocab=500000)
taken("data.merges = 20000: the training text gives no more than [0-9]+ merges" ${data}
      --set data.vocab=bpe --set data.merges=20000)
# the key that leaves a sentence out is named
bytes(pieces.tsv "ab\\tabc\\nab\\tabc\\n")
bytes(mixed.tsv "a b\\tc d\\na b c d e f\\td\\n")
taken("training: 1 items longer than train.batch_tokens = 5 left out" --config empty.ini
      --set data.train=mixed.tsv --set train.batch_tokens=5)
refused("all 2 sentences are longer than batch_tokens .2." ${data} --set train.batch_tokens=2)
refused("nothing is drawn for the first epoch: weight .0.0001. is too small for a text of 2 items" ${data}
        --set data.weight=0.0001)
# both vocabularies are told of
taken("parameters, vocabularies 5 and 5, 2 items" ${data} --set data.joint_vocab=false --set model.tie=target)
taken("parameters, vocabularies [0-9]+ of 1 merges and [0-9]+ of 2 merges, 2 items.*data.merges = 9: the training text gives no more than 1 merges"
      --config empty.ini --set data.train=pieces.tsv --set data.joint_vocab=false --set model.tie=target
      --set data.vocab=bpe --set data.merges=9)
# pairs that can hardly be translations, and a validation text with its sides exchanged
bytes(first.tsv "a b c\\tx y\\nb a\\ty x\\n")
bytes(more.tsv "a a\\tx z\\nb\\tx y x y x y x y x y\\na b\\tx\\na b a b a b a b a b\\ty\\n")
taken("2 training pairs are more than 9 times as long on one side as on the other, the first is more.tsv:2: are they translations. data.max_ratio = 9 leaves them out"
      --config empty.ini --set data.train=first.tsv --set data.train2=more.tsv)
bytes(back.tsv "x y\\ta b c\\ny q\\tb a\\n")
taken("of 9 words of data.valid 8 are known from the other side of the training text, and 0 from the same: are source and target exchanged"
      --config empty.ini --set data.train=first.tsv --set data.valid=back.tsv)
# not_said(REGEX arg...): what is well draws no doubt.
function(not_said regex)
  file(REMOVE_RECURSE ${WORK}/taken)
  execute_process(COMMAND ${WEFT} train ${tiny} ${ARGN} --out taken WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code
                  OUTPUT_QUIET ERROR_VARIABLE err)
  if(NOT code EQUAL 0 OR err MATCHES "${regex}")
    message(SEND_ERROR "weft train ${ARGN}: exit code ${code}\n${err}")
  endif()
endfunction()
not_said("translations|exchanged" --config empty.ini --set data.train=first.tsv --set data.train2=more.tsv
         --set data.max_ratio=9 --set data.valid=first.tsv)
bytes(alike.tsv "a b\\ta b\\nb a\\ta\\n") # one language
not_said("translations|exchanged" --config empty.ini --set data.train=alike.tsv --set data.valid=alike.tsv)
not_said("translations" --task parity --set data.train_size=50 --set data.valid_size=10 --set optim.schedule=constant)
# a line of 10 MB is left out of training and of validation, and no sentence to translate
string(REPEAT "x " 5000000 long)
file(WRITE ${WORK}/long.tsv "a b\tc d\n${long}\ty z\nb a\td c\n")
taken("validation .long.tsv.: 1 items longer than ten times data.max_length = 2560 left out.*validation .long.tsv.: the first of these is item 2"
      ${data} --set data.valid=long.tsv)
taken("training: 1 items longer than data.max_length = 256 left out.*the first of these is item 2"
      --config empty.ini --set data.train=long.tsv --set data.max_vocab=6 --set train.batch_tokens=300)
file(WRITE ${WORK}/long.txt "a\n${long}\n")
expect(CODE 2 STDIN ${WORK}/long.txt ARGS translate --model taken
       ERR "weft translate: line 2 has 5000000 tokens, and the limit is 2560: is it one sentence? --max-source N allows more\n")
# nor is there one among the pairs of a test, which is found out before the training, or of weft logprob
set(limit "has 5000000 tokens, and the limit is 2560: is it one sentence. ")
refused("long.tsv:2: the source ${limit}a larger data.max_length allows more" ${data} --set data.test=long.tsv)
file(WRITE ${WORK}/long.en "a b\n${long}\n")
bytes(long.de "c d\\ny z\\n")
refused("long.en:2: the source ${limit}a larger data.max_length allows more" --config empty.ini --set data.train=long
        --set data.src=en --set data.tgt=de --set data.max_vocab=6 --set data.test=long)
expect(CODE 2 ARGS logprob --model taken --pairs long.tsv
       ERR_HAS "^weft logprob: long.tsv:2: the source ${limit}--max-length N allows more\n$")
file(WRITE ${WORK}/long.tsv "a b\tc d\na\t${long}\n")
expect(CODE 2 ARGS logprob --model taken --pairs long.tsv
       ERR_HAS "^weft logprob: long.tsv:2: the target ${limit}--max-length N allows more\n$")
expect(CODE 2 ARGS logprob --model taken --pairs good.tsv --max-length 1
       ERR_HAS "^weft logprob: good.tsv:1: the source has 2 tokens, and the limit is 1: ")
expect(CODE 0 OUT_HAS "^-[0-9.]+\t3\n-" ARGS logprob --model taken --pairs good.tsv --max-length 2)
file(WRITE ${WORK}/long.en "")
file(WRITE ${WORK}/long.tsv "")
file(WRITE ${WORK}/long.txt "")
# a script never seen, to words and to pieces with bytes
file(WRITE ${WORK}/script.txt "a\nこの文は 日本語です。\n")
expect(CODE 0 STDIN ${WORK}/script.txt OUT_HAS "\n.*\n" ARGS translate --model taken --max-length 3
       ERR "weft translate: 2 of 3 tokens are unknown to the model: is this the language that the model was trained on?\n")
expect(CODE 0 STDIN ${WORK}/script.txt OUT_HAS "\n.*\n" ARGS translate --model taken --max-length 3 --stream
       ERR "weft translate: 2 of 2 tokens are unknown to the model: is this the language that the model was trained on?\n")
taken("vocabulary" ${data} --set data.vocab=bpe --set data.merges=2)
expect(CODE 0 STDIN ${WORK}/script.txt OUT_HAS "\n" ARGS translate --model taken --max-length 3
       ERR_HAS "^weft translate: [0-9]+ of [0-9]+ tokens are characters spelt in bytes: is this the language[^\n]*\n$")
# Windows line ends and a BOM mean nothing to translate and score either, and other encodings are named.
bytes(dos.txt "\\357\\273\\277a\\r\\nb a\\r\\n")
bytes(unix.txt "a\\nb a\\n")
execute_process(COMMAND ${WEFT} translate --model taken --max-length 5 WORKING_DIRECTORY ${WORK}
                INPUT_FILE ${WORK}/unix.txt OUTPUT_VARIABLE plain)
expect(CODE 0 STDIN ${WORK}/dos.txt OUT "${plain}" ARGS translate --model taken --max-length 5)
expect(CODE 0 STDIN ${WORK}/dos.txt OUT_HAS "100.00 % .2 of 2." ARGS score --metric exact --ref unix.txt)
expect(CODE 0 STDIN ${WORK}/unix.txt OUT_HAS "100.00 % .2 of 2." ARGS score --metric exact --ref dos.txt)
bytes(utf16.txt "\\377\\376a\\000\\n\\000")
foreach(command "translate;--model;taken" "score;--ref;unix.txt")
  expect(CODE 2 STDIN ${WORK}/utf16.txt ARGS ${command} ERR_HAS "^weft [a-z]+: -: looks like UTF-16, and UTF-8 is needed: iconv ")
endforeach()
# Going on in a folder whose configuration another version has written.
file(READ ${WORK}/taken/config.ini newer)
string(REPLACE "[model]\n" "[model]\nflux = 3\n" newer "${newer}")
file(COPY ${WORK}/taken/checkpoint.h5 DESTINATION ${WORK}/newer)
file(WRITE ${WORK}/newer/config.ini "${newer}")
expect(CODE 2 ARGS train --resume newer ERR_HAS "^weft train: newer/config.ini:[0-9]+: unknown key model.flux")
expect(CODE 2 STDIN ${WORK}/good.tsv ARGS translate --model taken --beam 0 ERR_HAS "--beam 0: a whole number from 1")
expect(CODE 2 ARGS translate --model good.tsv ERR "weft translate: good.tsv: is not an HDF5 file\n")
