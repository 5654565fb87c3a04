# The recipe with the help texts of LibreOffice, on a small made-up folder of pages.
find_program(PYTHON python3)
if(NOT PYTHON)
  message(STATUS "skipped: there is no python3")
  return()
endif()
set(script ${CMAKE_CURRENT_LIST_DIR}/../../data/libreoffice_help.py)
set(help ${WORK}/help)
file(REMOVE_RECURSE ${WORK})

file(WRITE ${help}/en-US/text/swriter/a.html "<html><body>
<h1 id=\"hd_id1\" dir=\"auto\"><a name=\"x\"></a>Opening
  a <span class=\"emph\">File</span>\n</h1>
<p id=\"par_id2\">Choose Save &amp; Close.<br>Then wait.</p>
<p>No id.</p>
<p id=\"par_id3\">Only here.</p>
<pre id=\"code\">x = 1</pre>
<p id=\"par_id4\">LibreOffice</p>
<p id=\"par_id5\"></p></body></html>")
file(WRITE ${help}/de/text/swriter/a.html "<html><body>
<p id=\"par_id2\">Wählen Sie Speichern &amp; Schließen.<br/>Dann warten Sie.</p>
<h1 id=\"hd_id1\">Öffnen einer Datei</h1>
<p id=\"par_id4\">LibreOffice</p>
<p id=\"par_id5\">Nur hier.</p></body></html>")
# The same pair again, a page of one language alone, and enough sentences for all three parts.
file(WRITE ${help}/en-US/text/swriter/b.html "<p id=\"hd_id9\">Opening a File</p>")
file(WRITE ${help}/de/text/swriter/b.html "<p id=\"hd_id9\">Öffnen einer Datei</p>")
file(WRITE ${help}/en-US/text/alone.html "<p id=\"hd_id1\">Alone</p>")
set(source "")
set(target "")
foreach(i RANGE 1 400)
  string(APPEND source "<p id=\"par_${i}\">Sentence ${i}</p>")
  string(APPEND target "<p id=\"par_${i}\">Satz ${i}</p>")
endforeach()
file(WRITE ${help}/en-US/text/scalc/c.html "${source}")
file(WRITE ${help}/de/text/scalc/c.html "${target}")

function(run code err)
  execute_process(COMMAND ${PYTHON} ${script} ${ARGN} OUTPUT_QUIET ERROR_VARIABLE said RESULT_VARIABLE got)
  if(NOT got EQUAL ${code} OR NOT said MATCHES "${err}")
    message(SEND_ERROR "libreoffice_help.py ${ARGN}: exit code ${got}\n${said}")
  endif()
endfunction()

run(0 "404 elements in both languages, 402 different pairs" --help-folder ${help} ${WORK}/out)
set(all "")
foreach(part train valid test)
  file(READ ${WORK}/out/${part}.tsv text)
  string(REGEX MATCHALL "\n" lines "${text}")
  list(LENGTH lines n_${part})
  string(APPEND all "${text}")
endforeach()
math(EXPR n "${n_train} + ${n_valid} + ${n_test}")
if(NOT n EQUAL 402 OR n_valid LESS 2 OR n_test LESS 2 OR n_train LESS 360)
  message(SEND_ERROR "${n_train} + ${n_valid} + ${n_test} pairs")
endif()
foreach(pair "Opening a File\tÖffnen einer Datei\n" "Sentence 77\tSatz 77\n"
        "Choose Save & Close. Then wait.\tWählen Sie Speichern & Schließen. Dann warten Sie.\n")
  string(FIND "\n${all}" "\n${pair}" at)
  if(at LESS 0)
    message(SEND_ERROR "there is no pair ${pair}")
  endif()
endforeach()
if(all MATCHES "Only here|Nur hier|No id|LibreOffice|x = 1|Alone")
  message(SEND_ERROR "what has no fellow is in:\n${all}")
endif()
run(0 "402 different" --help-folder ${help} --source de --target en-US ${WORK}/back)
run(2 "^libreoffice_help.py: [^\n]*fr/text: there is no such folder: install libreoffice-help-fr, or give --download"
    --help-folder ${help} --target fr ${WORK}/out)
file(MAKE_DIRECTORY ${help}/nl/text)
run(2 "no element of en-US has its fellow in nl" --help-folder ${help} --target nl ${WORK}/out)

# ---- mistakes: one sentence, exit code 2
function(refused err)
  run(2 "^libreoffice_help.py: ${err}\n$" ${ARGN})
endfunction()
file(WRITE ${WORK}/file "")
refused("[^\n]*/file: no folder can be made there: File exists" --help-folder ${help} ${WORK}/file)
refused("[^\n]*/file/out: no folder can be made there: Not a directory" --help-folder ${help} ${WORK}/file/out)
# A search path with python3 alone, and one with an apt-get that has no such package.
file(MAKE_DIRECTORY ${WORK}/bin)
set(ENV{PATH} ${WORK}/bin)
refused("there is no apt-get: --download needs Debian [^\n]*" --download ${WORK}/none)
file(WRITE ${WORK}/bin/apt-get "#!/bin/sh\nexit 100\n")
file(CHMOD ${WORK}/bin/apt-get PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
refused("apt-get download libreoffice-help-en-us failed with exit code 100: is there a package for en-US[^\n]*"
        --download --target xx ${WORK}/none)
