# weft check: certificates of sound models, and mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

set(small --task copy --set data.train_size=200 --set data.valid_size=10 --set model.d_model=16
          --set model.ffn=24 --set model.heads=2 --set model.encoder_layers=1
          --set model.decoder_layers=1 --set train.batch_tokens=500 --longest 12 --probes 4)
expect(CODE 0 ARGS check ${small}
  OUT_HAS "^causality  double  holds  4 places in sentences of up to 12 tokens: .*\ncausality  float   holds .*\nisolation  double  holds  6 sentences.*\nisolation  float   holds .*\ngradient   double  holds  [0-9]+ tensors, sentences of 1 to 12 tokens: worst.*\nrows       double  holds .*\npositions  double  holds  257 positions.*\ndecoding   double  holds .*bit by bit.*\nlimits             holds  longest .*\n9 of 9 certificates hold\n$")
expect(CODE 0 ARGS check ${small} --only positions --set model.position=none
  OUT_HAS "^positions  double  -      the model knows of no positions: neither its embeddings nor queries, keys and scores\n0 of 0 certificates hold\n$")
expect(CODE 0 ARGS check ${small} --only positions --set model.position=alibi
  OUT_HAS "^positions  double  holds  scores of 2 attentions fall by the slopes of the formula with the distance, up to 129, within ")
expect(CODE 1 ARGS check ${small} --longest 40 --only causality --set model.attention=lsh --set model.lsh_chunk=16
  OUT_HAS "^causality  double  FAILS  decoder.layers.0.self_attn .lsh_attention., head ")
expect(CODE 0 ARGS check ${small} --longest 40 --only decoding --set model.attention=window --set model.window=16
  OUT_HAS "^decoding   double  holds  3 sentences of 40 tokens: step by step as all at once, bit by bit; ")

execute_process(COMMAND ${WEFT} check ${small} --only rows --json OUTPUT_VARIABLE out
  RESULT_VARIABLE code WORKING_DIRECTORY ${WORK})
foreach(key certificate precision verdict questions worst text)
  string(JSON value_${key} GET "${out}" ${key})
endforeach()
if(NOT code STREQUAL 0 OR NOT value_certificate STREQUAL rows OR NOT value_verdict STREQUAL holds
   OR value_questions LESS 100)
  message(SEND_ERROR "weft check --json: ${code}: ${out}")
endif()

# Limits that a run would meet at its end: a validation sentence that the table of positions cannot take.
file(WRITE ${WORK}/train.tsv "a b\tc\nb a\tc c\n")
file(WRITE ${WORK}/valid.tsv "a b\tc\na a a a a a a a a a a a\tb\n")
file(WRITE ${WORK}/short.ini "[data]\ntrain = train.tsv\nvalid = valid.tsv\nmax_length = 8\n[model]\nd_model = 16\nffn = 24\nheads = 2\nencoder_layers = 1\ndecoder_layers = 1\nposition = learned\nmax_positions = 10\n[train]\nmax_decode_length = 8\nbatch_tokens = 100\n")
expect(CODE 1 ARGS check --config short.ini --only limits
  OUT_HAS "^limits             FAILS  the validation text has a sentence of 13 tokens, model.max_positions = 10\n0 of 1 certificates hold\n$")
expect(CODE 1 ARGS check --config short.ini --only limits --set train.batch_tokens=100000000
       --set data.valid= --set model.d_model=65536 --set model.ffn=1048576
       --set model.encoder_layers=60 OUT_HAS "FAILS  a step of .* tokens takes [0-9]+ MiB, this computer has")

set(limits check ${small} --only limits)
expect(CODE 0 ARGS ${limits} --set model.d_model=256 OUT_HAS "; a step takes [1-9][0-9]* of [0-9]+ MiB\n")
expect(CODE 0 ARGS ${limits} --set model.attention=window OUT_HAS "holds  longest training sentence .* MiB; no text is beyond model.window: each is seen whole\n")
expect(CODE 0 ARGS ${limits} --set model.attention=window --set model.window=4 OUT_HAS "holds  longest training sentence .* MiB\n")
expect(CODE 0 ARGS ${limits} --set model.attention=lsh OUT_HAS "no text is beyond model.lsh_chunk")
expect(CODE 0 ARGS ${limits} --set model.attention=probsparse --set model.probsparse_factor=9 OUT_HAS "no text is beyond model.probsparse_factor")
expect(CODE 1 ARGS ${limits} --set model.position=rope --set model.rope_scaling=yarn --set model.rope_factor=2 --set model.rope_length=100
       OUT_HAS "FAILS  data.max_length asks for 257 tokens, model.rope_factor times model.rope_length = 200\n")
expect(CODE 0 ARGS ${limits} --set model.position=rope --set model.rope_scaling=dynamic --set model.rope_length=4
       OUT_HAS "holds .*; texts are longer than model.rope_length = 4\n")
expect(CODE 1 ARGS check --config short.ini --only limits --set model.position=none --set model.attention=linformer
       --set model.linformer_length=10 OUT_HAS "FAILS  the validation text has a sentence of 13 tokens, model.linformer_length = 10\n")
file(WRITE ${WORK}/bare.ini "[data]\nmax_length = 8\n")
expect(CODE 0 ARGS check --config bare.ini --only limits --set data.max_vocab=0 OUT_HAS "holds  sentences of up to 8 tokens; the configuration names no data; no data.max_vocab says what a step takes\n")
expect(CODE 0 ARGS check --config bare.ini --only limits --set data.max_vocab=1000 OUT_HAS "names no data; a step takes [0-9]+ of [0-9]+ MiB\n")

# gradients that are a millionth of others' are known up to the rounding of the loss
expect(CODE 0 ARGS check --config bare.ini --only gradient --set data.max_length=200 --set model.d_model=32
       --set model.ffn=48 --set model.heads=4 --set model.encoder_layers=2 --set model.decoder_layers=2
       --set model.mixer=rnn --set model.norm=deep --set model.init=normal
       OUT_HAS "holds  61 tensors.*; some so small that they are known up to the loss's rounding")
expect(CODE 0 ARGS check ${small} --only rows --set model.attention_weights=sigmoid
       OUT_HAS "^rows       double  -      sigmoid weights are not normalised: nothing has to be 1\n0 of 0")

expect(CODE 2 ARGS check ERR "weft check: one of --config FILE and --task NAME is needed\n")
expect(CODE 2 ARGS check ${small} --only luck ERR "weft check: there is no certificate luck\n")
expect(CODE 2 ARGS check ${small} --set model.heads=3 ERR_HAS "^weft check: .*model.heads = 3")
expect(CODE 2 ARGS check ${small} --longest 1 --only causality ERR_HAS "^weft check: causality: certify: 4 probes in sentences of 1 tokens")
expect(CODE 2 ARGS check ${small} --longest 1 --only limits --config x.ini ERR_HAS "one of --config FILE and --task NAME")
