#include <iostream>
#include "libinfer.hpp"

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  const auto model = libinfer::Model::load(argv[1]).value();   // value() throws; ok() and error() do not
  const auto session = libinfer::Session::create(model).value();
  auto options = libinfer::Options::create(INFER_OPTIONS_GENERATE).value();
  options.parse("temperature=0.7\nmax_tokens=60\nstop=Chapter").value();

  auto stream = libinfer::Stream::start(session, "Natasha smiled and", &options).value();
  for (const libinfer::Event event : stream) std::cout << event.text() << std::flush;
  stream.status().value();
  std::cout << '\n' << stream.get_f64("decode_tokens_per_second").value() << " tokens/s\n";
} catch (const libinfer::Exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
