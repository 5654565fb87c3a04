# weft gradcheck: every operation passes, every planted fault is caught, and mistakes.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

# The last line is what scripts rely on.
set(numbers "checks, [0-9.e+-]+ worst relative error, 0 failed\n$")
expect(CODE 0 OUT_HAS "[0-9][0-9][0-9][0-9]+ ${numbers}" ARGS gradcheck --all)
expect(CODE 0 OUT_HAS "^matmul  *[0-9]+ samples .* kinks, worst .*\n[0-9]+ ${numbers}"
       ARGS gradcheck --op matmul)
expect(CODE 0 OUT_HAS "fused.* faults planted.* 0 missed\n[0-9]+ ${numbers}"
       ARGS gradcheck --self-test)
expect(CODE 0 OUT_HAS "input 1: times -1 .*linear, sample 0, .*the gradient gives"
       ARGS gradcheck --self-test --op linear --verbose)

expect(CODE 0 OUT_HAS "^usage: weft gradcheck --all" ARGS gradcheck --help)
set(which "weft gradcheck: one of --all, --op NAME and --self-test is needed\n")
expect(CODE 2 ERR "${which}" ARGS gradcheck)
expect(CODE 2 ERR "${which}" ARGS gradcheck --all --op add)
expect(CODE 2 ERR "${which}" ARGS gradcheck --all --self-test)
expect(CODE 2 ERR "weft gradcheck: unknown operation matmull (did you mean matmul?)\n"
       ARGS gradcheck --op matmull)
expect(CODE 2 ERR_HAS "unexpected argument add" ARGS gradcheck --all add)
