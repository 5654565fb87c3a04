# weft report: a page that a browser shows, and pictures.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

set(tiny --set model.d_model=16 --set model.ffn=16 --set model.heads=2 --set model.encoder_layers=1
    --set model.decoder_layers=1 --set train.max_updates=4 --set train.batch_tokens=100
    --set train.log_every=1 --set train.max_decode_length=12 --threads 1)
execute_process(COMMAND printf "a </script><b> & \\\"q\\\"\\tx </script><b> & \\\"q\\\"\\nb a\\ty x\\nc c\\tz z\\n"
                OUTPUT_FILE ${WORK}/pairs.tsv)
file(WRITE ${WORK}/empty.ini "")
expect(CODE 0 ERR_HAS "BLEU" ARGS train --config empty.ini --set data.train=pairs.tsv
       --set data.valid=pairs.tsv --set train.report=true --out run ${tiny})
if(NOT EXISTS ${WORK}/run/report.html)
  message(SEND_ERROR "train.report = true left no page")
endif()
expect(CODE 0 OUT "run/report.html\n" ARGS report run)
expect(CODE 0 OUT "page.html\n" ARGS report run --out page.html --threads 2)
file(READ ${WORK}/run/report.html default)
file(READ ${WORK}/page.html page)
if(NOT default STREQUAL page)
  message(SEND_ERROR "weft report gave two pages for one run")
endif()
expect(CODE 0 ARGS report run --svg pictures)
foreach(name loss scores learning_rate gradient_norm tokens_per_s lengths)
  if(NOT EXISTS ${WORK}/pictures/${name}.svg)
    message(SEND_ERROR "weft report --svg: no ${name}.svg")
  endif()
endforeach()
expect(CODE 2 ARGS report ERR "weft report: one folder of a run is needed\n")
expect(CODE 2 ARGS report run more ERR "weft report: one folder of a run is needed\n")
expect(CODE 2 ARGS report run --out a --svg b ERR "weft report: --out and --svg: one of the two\n")
expect(CODE 2 ARGS report nowhere ERR_HAS "^weft report: nowhere/config.ini: [^\n]*\n$")
expect(CODE 2 ARGS report run --out no/folder.html ERR_HAS "^weft report: no/folder.html[^\n]*\n$")
expect(CODE 2 ARGS report run --svg no/folder ERR_HAS "^weft report: no/folder: [^\n]*\n$")

# ---- in a browser, where there is one: it shows what was meant, and draws a picture of it
find_program(CHROMIUM NAMES chromium chromium-browser google-chrome)
if(NOT CHROMIUM)
  message(STATUS "no Chromium: the page was not opened")
  return()
endif()
set(headless ${CHROMIUM} --headless --no-sandbox --disable-gpu --user-data-dir=${WORK}/profile)
execute_process(COMMAND ${headless} --dump-dom file://${WORK}/page.html RESULT_VARIABLE code
                OUTPUT_VARIABLE dom ERROR_VARIABLE log TIMEOUT 120)
string(REGEX MATCHALL "<svg" pictures "${dom}")
list(LENGTH pictures n)
if(NOT code EQUAL 0 OR n LESS 9 OR NOT dom MATCHES "&lt;/script&gt;&lt;b&gt; &amp; \"q\"" OR dom MATCHES "<script")
  message(SEND_ERROR "Chromium made something else of the page (exit code ${code}, ${n} pictures):\n${log}\n${dom}")
endif()
execute_process(COMMAND ${headless} --screenshot=${WORK}/page.png --window-size=1200,2000
                file://${WORK}/page.html RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET TIMEOUT 120)
if(NOT code EQUAL 0 OR NOT EXISTS ${WORK}/page.png)
  message(SEND_ERROR "Chromium drew no picture of the page: exit code ${code}")
endif()
