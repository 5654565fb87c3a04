# weft translate, generate and inspect, with models of a few updates.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

set(tiny --set model.d_model=32 --set model.ffn=32 --set model.heads=2 --set model.encoder_layers=1
  --set model.decoder_layers=1 --set train.max_updates=3 --set train.batch_tokens=400
  --set optim.warmup=1 --set train.max_decode_length=12 --threads 1)
expect(CODE 0 OUT_HAS "held-out exact match: " ERR_HAS "exact match" ARGS train --task copy --out pairs
       --set data.train_size=200 --set data.valid_size=20 --set train.target_exact=0 ${tiny})

# The text must be long enough for a batch; its last line is that of validation, too.
set(text "")
foreach(i RANGE 1 60)
  string(APPEND text "the quick brown fox jumps over the lazy dog, number ${i}\n")
endforeach()
file(WRITE ${WORK}/text "${text}")
file(WRITE ${WORK}/empty.ini "")
expect(CODE 0 ERR_HAS "perplexity" ARGS train --config empty.ini --out text_model
       --set model.kind=decoder-only --set data.train=text --set data.valid=text --set data.vocab=char
       --set data.max_length=32 ${tiny})

# ---- translate: as many lines as came in, empty ones empty, alone as together, on any threads
file(WRITE ${WORK}/source "abc\n\nzebra\nq")
execute_process(COMMAND ${WEFT} translate --model pairs INPUT_FILE ${WORK}/source
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE together RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT together MATCHES "^[^\n]+\n\n[^\n]+\n[^\n]+\n$")
  message(SEND_ERROR "weft translate: exit code ${code}, not four lines of which the second is empty:\n${together}")
endif()
expect(CODE 0 STDIN ${WORK}/source OUT "${together}" ARGS translate --model pairs/checkpoint.h5
       --batch-tokens 1 --threads 2)
expect(CODE 0 ARGS translate --model pairs)
expect(CODE 0 OUT_HAS "^usage: weft translate --model DIR" ARGS translate --help)

# ---- beam, n-best, drawing, several models: alone as together, streamed as not
foreach(options "--beam;4" "--beam;3;--penalty;power;--length-penalty;1;--no-repeat-ngram;2"
    "--sample;--temperature;2;--top-p;0.9;--seed;3" "--model;pairs/checkpoint.h5;--beam;2;--n-best;2")
  execute_process(COMMAND ${WEFT} translate --model pairs ${options} --max-length 9
    INPUT_FILE ${WORK}/source WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE together RESULT_VARIABLE code)
  if(NOT code EQUAL 0 OR together STREQUAL "")
    message(SEND_ERROR "weft translate ${options}: exit code ${code}:\n${together}")
  endif()
  expect(CODE 0 STDIN ${WORK}/source OUT "${together}" ARGS translate --model pairs ${options}
         --max-length 9 --batch-tokens 1 --threads 2)
  expect(CODE 0 STDIN ${WORK}/source OUT "${together}" ARGS translate --model pairs ${options}
         --max-length 9 --stream)
endforeach()
if(NOT together MATCHES "^1\t-[0-9.]+\t[^\n]*\n1\t-[0-9.]+\t[^\n]*\n2\t0.000000\t\n3\t.*\n4\t[^\n]*\n4\t[^\n]*\n$")
  message(SEND_ERROR "weft translate --n-best 2:\n${together}")
endif()
file(WRITE ${WORK}/prefixes "x\n\nyz\n\n")
expect(CODE 0 STDIN ${WORK}/source OUT_HAS "^x[^\n]*\n\nyz[^\n]*\n[^\n]*\n$"
       ARGS translate --model pairs --prefix prefixes --beam 2)
# --stream: a line is answered before the next one comes.
execute_process(COMMAND sh -c "mkfifo lines && \"$0\" translate --model pairs --stream --threads 1 <lines >answers & \
  while ! [ -p lines ]; do sleep 0.1; done; exec 3>lines; echo abc >&3; \
  n=0; while [ $n -lt 600 ] && ! [ -s answers ]; do sleep 0.1; n=$((n + 1)); done; \
  wc -l <answers; exec 3>&-; wait" ${WEFT}
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE lines OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT lines EQUAL 1)
  message(SEND_ERROR "weft translate --stream: ${lines} lines after the first one")
endif()

# A line that cannot be translated is answered by an empty one, and those behind it are translated.
execute_process(COMMAND printf "abc\\nd\\377e\\nabcdefghijkl\\nq\\n" OUTPUT_FILE ${WORK}/unfit)
file(WRITE ${WORK}/short_ones "\n\n\nabcdefghijklmnopq\n")
execute_process(COMMAND printf "abc\\nq\\n" COMMAND ${WEFT} translate --model pairs WORKING_DIRECTORY ${WORK}
  OUTPUT_VARIABLE fit)
string(REPLACE "\n" "\n\n\n" answers "${fit}")
string(REGEX REPLACE "\n\n$" "" answers "${answers}")
set(wrong "^weft translate: -:2: byte 2 .0xFF. is not valid UTF-8\nweft translate: line 3 has 12 tokens, and the limit is 10: [^\n]*\n")
expect(CODE 1 STDIN ${WORK}/unfit ARGS translate --model pairs --stream --max-source 10 OUT "${answers}"
       ERR_HAS "${wrong}$")
expect(CODE 1 STDIN ${WORK}/unfit ARGS translate --model pairs --stream --max-source 10 --prefix short_ones --n-best 1
       OUT_HAS "^1\t-[0-9.]+\t[^\n]+\n2\t-inf\t\n3\t-inf\t\n4\t-inf\t\n$"
       ERR_HAS "${wrong}weft translate: sentence 4: its prefix has 17 tokens, a hypothesis at most 12\n$")
file(WRITE ${WORK}/few_prefixes "x\n\n")
expect(CODE 2 STDIN ${WORK}/source ARGS translate --model pairs --stream --prefix few_prefixes OUT_HAS "^x[^\n]*\n\n$"
       ERR "weft translate: line counts differ: there are more sentences than prefixes\n")

# ---- logprob: a line a pair; the score of what was said is what it gives
file(WRITE ${WORK}/two.tsv "abc\txyz\nq\tqq\n")
execute_process(COMMAND ${WEFT} logprob --model pairs --pairs two.tsv WORKING_DIRECTORY ${WORK}
  OUTPUT_VARIABLE log_p RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT log_p MATCHES "^-[0-9.]+\t4\n-[0-9.]+\t3\n$")
  message(SEND_ERROR "weft logprob: exit code ${code}:\n${log_p}")
endif()
expect(CODE 0 OUT "${log_p}" ARGS logprob --model pairs --pairs two.tsv --batch-tokens 1 --threads 2)
expect(CODE 0 OUT_HAS "^usage: weft logprob --model DIR" ARGS logprob --help)

# ---- generate: the prompt first; equal seeds give equal texts
execute_process(COMMAND ${WEFT} generate --model text_model --prompt "the " --tokens 50 --seed 7
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE text RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT text MATCHES "^the ....")
  message(SEND_ERROR "weft generate: exit code ${code}:\n${text}")
endif()
expect(CODE 0 OUT "${text}" ARGS generate --model text_model --prompt "the " --tokens 50 --seed 7
       --threads 2)
execute_process(COMMAND ${WEFT} generate --model text_model --prompt "the " --tokens 50 --seed 8
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE other)
if(other STREQUAL text)
  message(SEND_ERROR "weft generate: another seed gave the same text")
endif()
expect(CODE 0 OUT_HAS "^the ...." ARGS generate --model text_model --prompt "the " --top-p 0.5)
expect(CODE 0 OUT_HAS "^the <unk><unk>" ERR "weft generate: 2 of 6 tokens of the prompt are unknown to the model\n"
       ARGS generate --model text_model --prompt "the 日本" --tokens 3)
string(ASCII 255 byte)
expect(CODE 2 ERR_HAS "^weft generate: the prompt: [^\n]*UTF-8\n$" ARGS generate --model text_model --prompt "${byte}")
expect(CODE 0 OUT "the \n" ARGS generate --model text_model --prompt "the " --tokens 0)
expect(CODE 0 OUT_HAS "..." ARGS generate --model text_model --temperature 0 --top-k 3)
expect(CODE 0 OUT_HAS "^the [^the ]+\n$" ARGS generate --model text_model --prompt "the " --tokens 9
       --no-repeat-ngram 1)

# ---- a text longer than what the model reads, in chunks
expect(CODE 0 OUT_HAS "^-[0-9.]+\t[0-9]+\n$" ARGS logprob --model text_model --text text)
execute_process(COMMAND ${WEFT} logprob --model text_model --text text --chunk 8 --overlap 3
  WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE short RESULT_VARIABLE code)
execute_process(COMMAND ${WEFT} logprob --model text_model --text text --chunk 8 --overlap 3
  --merge mean WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE mean)
if(NOT short MATCHES "^-[0-9.]+\t[0-9]+\n$" OR short STREQUAL mean)
  message(SEND_ERROR "weft logprob --text: ${short}${mean}")
endif()
expect(CODE 2 ERR_HAS "overlap of 8" ARGS logprob --model text_model --text text --chunk 8 --overlap 8)
expect(CODE 2 ERR_HAS "it takes --pairs" ARGS logprob --model pairs --text text)
expect(CODE 2 ERR_HAS "without --pairs" ARGS logprob --model pairs --text text --pairs two.tsv)

# ---- convert: fewer heads of keys and values, another reach of rotary positions
expect(CODE 0 OUT_HAS "new form" ARGS convert --model pairs --out grouped --kv-heads 1
       ERR_HAS "^grouped must be trained on .weft train --init grouped., as it is another model than before:\nmodel.kv_heads = 1, before kv_heads = 0\n$")
expect(CODE 0 OUT_HAS "new form" ARGS convert --model pairs --out sigmoid --set model.attention_weights=sigmoid
       --set model.dropout=0.5
       ERR_HAS "^sigmoid must be trained on .weft train --init sigmoid., as it is another model than before:\nmodel.attention_weights = sigmoid, before attention_weights = softmax\n$")
expect(CODE 0 OUT_HAS "new form" ARGS convert --model pairs --out dropping --set model.dropout=0.5 --set model.init=normal)
expect(CODE 0 STDIN ${WORK}/source OUT_HAS "..." ARGS translate --model grouped)
expect(CODE 2 ERR_HAS "cannot be pooled into 3" ARGS convert --model pairs --out nothing --kv-heads 3)
expect(CODE 2 ERR_HAS "needs model.position = rope" ARGS convert --model pairs --out nothing
       --set model.rope_scaling=linear)
expect(CODE 2 ERR_HAS "d_model" ARGS convert --model pairs --out nothing --set model.d_model=33)
expect(CODE 2 ERR_HAS "are needed" ARGS convert --model pairs)
if(EXISTS ${WORK}/nothing)
  message(SEND_ERROR "weft convert left a folder behind")
endif()

# ---- train on: a new run with the parameters of the converted model, and from there a resumed one
set(on train --init grouped --threads 1)
expect(CODE 0 OUT_HAS "held-out exact match: " ERR_HAS "those of grouped\n.*update 2/2"
       ARGS ${on} --out grouped_on --set train.max_updates=2)
expect(CODE 0 OUT_HAS "match: " ERR_HAS "5/5" ARGS train --resume grouped_on --set train.max_updates=5)
# no update: what it begins with is what the model was, to the bit, whatever the seed
expect(CODE 0 OUT_HAS "match" ERR_HAS "model.dropout = 0.3, before dropout = 0\n"
       ARGS ${on} --out same --set train.max_updates=0 --set train.max_minutes=1e-6 --set optim.schedule=constant
       --set model.dropout=0.3 --set train.seed=7)
foreach(model grouped/best.h5 same/checkpoint.h5)
  execute_process(COMMAND ${WEFT} logprob --model ${model} --pairs two.tsv WORKING_DIRECTORY ${WORK}
    OUTPUT_VARIABLE of_${model} RESULT_VARIABLE code)
endforeach()
if(NOT code EQUAL 0 OR NOT of_grouped/best.h5 STREQUAL of_same/checkpoint.h5)
  message(SEND_ERROR "weft train --init begins with another model: ${of_grouped/best.h5}${of_same/checkpoint.h5}")
endif()
file(STRINGS ${WORK}/same/log.jsonl lines)
list(GET lines 0 first)
string(JSON from GET "${first}" from)
if(NOT from STREQUAL grouped)
  message(SEND_ERROR "the log says it began from ${from}")
endif()
# other text by the same vocabulary; a file on top of the checkpoint's own configuration
file(WRITE ${WORK}/text.ini "[data]\ntrain = two\nmax_length = 16\n[train]\nmax_updates = 2\n")
file(WRITE ${WORK}/two "quick jumps\nfox dog over the lazy brown\nfox\n")
expect(CODE 0 ERR_HAS "those of text_model\n.*update 2/2" ARGS train --init text_model --config text.ini --out text_on --threads 1)
# what does not fit
set(no ARGS ${on} --out nothing)
expect(CODE 2 ${no} --set model.kv_heads=2 ERR_HAS "^weft train: --init grouped: .*in_proj_weight.*64.*96")
expect(CODE 2 ${no} --set model.encoder_layers=2 ERR_HAS "^weft train: --init grouped: .*encoder.layers.1.*")
expect(CODE 2 ${no} --set model.final_norm=false ERR_HAS "^weft train: --init grouped: .*norm.*in the file, but not in the model")
expect(CODE 2 ${no} --set data.joint_vocab=false --set model.tie=none ERR_HAS "data.joint_vocab = true cannot begin a run with false")
expect(CODE 2 ${no} --set data.task= --set data.train=two.tsv ERR_HAS "its vocabulary is of characters, and the configuration asks for words between spaces")
expect(CODE 2 ARGS train --init text_model --out nothing ERR_HAS "nothing to train on: set data.train or data.task")
expect(CODE 2 ARGS train --init text_model --out nothing --set data.train=two --set data.lowercase=true
       ERR_HAS "its vocabulary is not in lower case: data.lowercase = true")
expect(CODE 2 ARGS train --init text_model --out nothing --set data.train=two.tsv --set model.kind=encoder-decoder
       ERR_HAS "model.kind = decoder-only cannot begin one of encoder-decoder")
expect(CODE 2 ARGS train --init nowhere --out nothing ERR_HAS "^weft train: --init nowhere: nowhere: there is no such folder")
expect(CODE 2 ARGS train --init grouped --resume same ERR "weft train: --init begins a new run, without --resume\n")
expect(CODE 2 ARGS train --init grouped --sanity ERR "weft train: --init begins a new run, without --sanity\n")
if(EXISTS ${WORK}/nothing)
  message(SEND_ERROR "weft train --init left a folder behind")
endif()

# ---- attention maps: a file of all, a picture of some
expect(CODE 0 STDIN ${WORK}/source OUT_HAS "..." ARGS translate --model pairs --attention maps.h5 --beam 2)
expect(CODE 2 ARGS inspect maps.h5 ERR_HAS "no part of a checkpoint")
expect(CODE 0 STDIN ${WORK}/source OUT_HAS "..." ARGS translate --model pairs --attention maps.svg --stream
       --attention-layer 0 --attention-head 1 --attention-kind encoder)
file(READ ${WORK}/maps.svg svg)
string(REGEX MATCHALL "encoder layer 0 head 1</text>" panels "${svg}")
list(LENGTH panels n_panels)
if(NOT n_panels EQUAL 3 OR NOT svg MATCHES "^<svg xmlns=.*</svg>\n$" OR svg MATCHES "head 0")
  message(SEND_ERROR "weft translate --attention maps.svg: ${n_panels} panels for three sentences")
endif()
expect(CODE 0 OUT_HAS "^the ...." ARGS generate --model text_model --prompt "the " --attention text.svg
       --tokens 5)
expect(CODE 0 OUT_HAS "^the ...." ARGS generate --model text_model --prompt "the " --attention text.h5)
file(READ ${WORK}/text.svg svg)
if(NOT svg MATCHES "decoder layer 0 head 0" OR NOT svg MATCHES "␣")
  message(SEND_ERROR "weft generate --attention text.svg shows no map of the decoder")
endif()
expect(CODE 2 STDIN ${WORK}/source ARGS translate --model pairs --attention maps.png
       ERR "weft translate: --attention maps.png: the file must end in .h5 or .svg\n")
foreach(file nodir/a.svg nodir/a.h5) # before anything is translated
  expect(CODE 2 STDIN ${WORK}/source ARGS translate --model pairs --attention ${file} --stream
         ERR "weft translate: ${file}: cannot create: No such file or directory\n")
endforeach()
expect(CODE 2 ARGS generate --model text_model --attention nodir/a.svg
       ERR "weft generate: nodir/a.svg: cannot create: No such file or directory\n")
file(MAKE_DIRECTORY ${WORK}/folder.svg)
expect(CODE 2 STDIN ${WORK}/source ARGS translate --model pairs --attention folder.svg
       ERR "weft translate: folder.svg: is a directory, not a file\n")
expect(CODE 2 STDIN ${WORK}/source ARGS translate --model pairs --attention maps.h5 --attention-layer 1
       ERR "weft translate: there is no layer 1: the model's go from 0 to 0\n")
expect(CODE 2 STDIN ${WORK}/source ARGS translate --model pairs --model pairs --attention maps.h5
       ERR "weft translate: --attention shows one model, not several together\n")
expect(CODE 2 ARGS translate --model pairs --attention none.svg
       ERR "weft translate: none.svg: there is no sentence to show\n")
file(GLOB left ${WORK}/*.tmp.* ${WORK}/none.svg*)
if(left)
  message(SEND_ERROR "weft translate --attention left ${left}")
endif()

# ---- unknown words: everything is unknown to a vocabulary of three words
file(WRITE ${WORK}/few.tsv "a b c\tx y\na b\tx z\nc a\tz x\nb c\tz y\n")
expect(CODE 0 ERR_HAS "hypothesis  " ARGS train --config empty.ini --out few --set data.train=few.tsv
       --set data.valid=few.tsv --set data.max_vocab=4 --set train.samples=1 ${tiny})
file(WRITE ${WORK}/unknown "qq\n\nrr ss\n")
expect(CODE 0 STDIN ${WORK}/unknown OUT_HAS "<unk>.*\n\n.*<unk>" ARGS translate --model few --max-length 6
       ERR_HAS "3 of 3 tokens are unknown")
# as long as in validation, unless --max-length says otherwise (this model never ends by itself)
string(REPEAT "[^ \n]+ " 11 eleven)
expect(CODE 0 STDIN ${WORK}/unknown OUT_HAS "^${eleven}[^ \n]+\n\n${eleven}[^ \n]+\n$" ARGS translate --model few
       ERR_HAS "unknown")
execute_process(COMMAND ${WEFT} translate --model few --max-length 6 --replace-unknown --beam 2 --n-best 2
  INPUT_FILE ${WORK}/unknown WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE replaced RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT replaced MATCHES "^1\t[^\n]*qq" OR replaced MATCHES "<unk>")
  message(SEND_ERROR "weft translate --replace-unknown: exit code ${code}\n${replaced}")
endif()
expect(CODE 2 STDIN ${WORK}/unknown ARGS translate --model few --replace-unknown --attention-layer 3
       ERR "weft translate: there is no layer 3: the model's go from 0 to 0\n")
expect(CODE 0 ERR_HAS "validation" ARGS train --config empty.ini --out pieces --set data.train=few.tsv
       --set data.valid=few.tsv --set data.vocab=bpe --set data.merges=3 ${tiny})
expect(CODE 2 STDIN ${WORK}/unknown ARGS translate --model pieces --replace-unknown
       ERR_HAS "^weft translate: --replace-unknown is for vocabularies of words: [^\n]*\n$")

# ---- inspect
expect(CODE 0 ARGS inspect pairs
       OUT_HAS "^pairs/best.h5\n  format  *1\n.*update  *3\n.*target_vocab  *29 tokens .chars.\n.*src_embed.weight  *.29, 32.  *928\n.*parameters in [0-9]+ arrays of float32\n\nconfiguration\n.*d_model = 32\n")
expect(CODE 0 ARGS inspect pairs/checkpoint.h5 OUT_HAS "^pairs/checkpoint.h5\n")

# ---- mistakes: one sentence, exit code 2
expect(CODE 2 ARGS logprob --model pairs ERR "weft logprob: --model DIR and --pairs FILE or --text FILE are needed\n")
expect(CODE 2 ARGS logprob --model pairs --pairs nofile ERR_HAS "^weft logprob: nofile: No such file[^\n]*\n$")
expect(CODE 2 ARGS translate --model pairs --beam 0 ERR_HAS "--beam 0.*\n")
expect(CODE 2 ARGS translate --model pairs --beam 2 --n-best 3
       ERR "weft translate: --n-best 3 needs a --beam of at least as many\n")
expect(CODE 2 ARGS translate --model pairs --top-p 0.5
       ERR "weft translate: --temperature, --top-k, --top-p and --seed need --sample\n")
expect(CODE 2 ARGS translate --model pairs --seed 1
       ERR "weft translate: --temperature, --top-k, --top-p and --seed need --sample\n")
expect(CODE 2 ARGS translate --model pairs --penalty fair ERR_HAS "one of gnmt.power.word is needed")
expect(CODE 2 STDIN ${WORK}/source ARGS translate --model pairs --prefix prefixes --max-length 1
       ERR "weft translate: sentence 3: its prefix has 2 tokens, a hypothesis at most 1\n")
expect(CODE 2 STDIN ${WORK}/text ARGS translate --model pairs --prefix prefixes
       ERR "weft translate: line counts differ: there are more sentences than prefixes\n")
expect(CODE 2 ARGS translate --model pairs --prefix prefixes
       ERR "weft translate: line counts differ: there are more prefixes than sentences\n")
expect(CODE 0 OUT_HAS "held-out exact match: " ERR_HAS "exact match" ARGS train --task add --out sums
       --set data.train_size=200 --set data.valid_size=20 --set train.target_exact=0 ${tiny})
expect(CODE 2 ARGS translate --model pairs --model sums
       ERR "weft translate: pairs and sums have different source vocabularies: they cannot translate together\n")
expect(CODE 2 ARGS translate ERR "weft translate: a model is needed: --model DIR\n")
expect(CODE 2 ARGS generate ERR "weft generate: a model is needed: --model DIR\n")
expect(CODE 2 ARGS inspect ERR "weft inspect: one file or folder is needed\n")
expect(CODE 2 ARGS inspect pairs text ERR "weft inspect: one file or folder is needed\n")
expect(CODE 2 ARGS translate --model text_model
       ERR "weft translate: text_model: the model continues text (weft generate), it does not translate\n")
expect(CODE 2 ARGS generate --model pairs
       ERR "weft generate: pairs: the model translates (weft translate), it does not continue text\n")
foreach(command translate generate)
  expect(CODE 2 ARGS ${command} --model nowhere
         ERR "weft ${command}: nowhere: there is no such folder or file\n")
  expect(CODE 2 ARGS ${command} --model . ERR "weft ${command}: .: there is no checkpoint in it\n")
endforeach()
expect(CODE 2 ARGS generate --model text_model --temperature -1 ERR_HAS "--temperature -1.*\n")
expect(CODE 2 ARGS translate --model pairs --batch-tokens 0 ERR_HAS "--batch-tokens 0.*\n")
execute_process(COMMAND printf "abc\\nd\\377e\\n" OUTPUT_FILE ${WORK}/bytes)
expect(CODE 2 STDIN ${WORK}/bytes ARGS translate --model pairs
       ERR_HAS "^weft translate: [^\n]*:2:[^\n]*UTF-8[^\n]*\n$")
