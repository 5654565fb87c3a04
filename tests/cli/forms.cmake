# Every form of a model that a configuration can choose is trained, saved, read again and used.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

set(tiny --set model.d_model=16 --set model.ffn=16 --set model.heads=4 --set model.encoder_layers=1
  --set model.decoder_layers=1 --set train.max_updates=3 --set train.batch_tokens=200
  --set optim.warmup=1 --set train.max_decode_length=8 --threads 1)
file(WRITE ${WORK}/source "abc\nzebra\n")
set(text "")
foreach(i RANGE 1 30)
  string(APPEND text "the quick brown fox jumps over the lazy dog, number ${i}\n")
endforeach()
file(WRITE ${WORK}/text "${text}")

file(WRITE ${WORK}/empty.ini "")
set(forms
  "position=sinusoidal_half|norm=deep|activation=glu"
  "position=rope|kv_heads=2|norm=pre|norm_kind=rms|final_norm=true|activation=swiglu|qk_norm=true"
  "position=rope|rope_layout=half|rope_scaling=linear|rope_factor=2|kv_heads=1|norm=hybrid"
  "position=rope|rope_scaling=ntk|rope_factor=4|rope_base=500|norm=sandwich|norm_kind=scale"
  "position=rope|rope_scaling=dynamic|rope_length=4|layer_scale=0.1|norm=pre|activation=geglu"
  "position=rope|rope_scaling=yarn|rope_factor=8|rope_length=16|activation=reglu"
  "position=none"
  "position=learned|max_positions=300"
  "position=alibi|attention_weights=sigmoid"
  "position=t5|max_distance=20|attention_weights=sigmoid|sigmoid_bias_auto=false"
  "position=shaw|max_distance=300|value_width=3"
  "attention=window|window=4|global_tokens=1"
  "attention=dilated|window=4|gap=3"
  "attention=strided|stride=4"
  "attention=fixed|stride=4|summary=2"
  "attention=bigbird|block=2|global_blocks=1|random_blocks=1"
  "attention=blocks|block=2|blocks=-3,-1,0,1"
  "attention=linear|kv_heads=2"
  "attention=performer|features=8|feature_kind=hyperbolic|redraw=2"
  "attention=lsh|lsh_chunk=4|lsh_rounds=2|redraw=2"
  "attention=probsparse|probsparse_factor=1|redraw=2"
  "attention=probsparse_causal|probsparse_factor=1")
set(encoder_forms
  "attention=longformer|window=4|global_tokens=2"
  "attention=linformer|linformer_length=257|linformer_k=4|linformer_share=kv")
set(n 0)
foreach(form IN LISTS forms encoder_forms)
  math(EXPR n "${n} + 1")
  string(REPLACE "|" " --set model." set "--set model.${form}")
  separate_arguments(set UNIX_COMMAND "${set}")
  expect(CODE 0 OUT_HAS "held-out exact match: " ERR_HAS "exact match" ARGS train --task copy --out pairs${n}
         --set data.train_size=100 --set data.valid_size=4 --set train.target_exact=0 ${tiny} ${set})
  expect(CODE 0 STDIN ${WORK}/source OUT_HAS "^[^\n]+\n[^\n]+\n$" ARGS translate --model pairs${n} --beam 2)
  if(form IN_LIST encoder_forms)
    continue()
  endif()
  expect(CODE 0 ERR_HAS "perplexity" ARGS train --config empty.ini --out text${n}
         --set model.kind=decoder-only --set data.train=text --set data.valid=text --set data.vocab=char
         --set data.max_length=16 ${tiny} ${set})
  expect(CODE 0 OUT_HAS "^the ...." ARGS generate --model text${n} --prompt "the " --tokens 30)
endforeach()
