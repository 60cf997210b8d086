// Detects in one image with an exported model, in C++ with libtorch alone.
//
//     consume model.ts image.raw HEIGHT WIDTH
//
// image.raw holds HEIGHT x WIDTH x 3 bytes, BGR, row by row, as OpenCV reads an image:
//     python -c "import cv2; cv2.imread('image.jpg').tofile('image.raw')"
// Prints a line for each detection: label, score, left, top, right and bottom in pixels of the image.

#include <torch/script.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <vector>

static at::Tensor read_image(const char *path, int64_t height, int64_t width) {
  std::vector<char> bytes(height * width * 3);
  std::ifstream file(path, std::ios::binary);
  if (!file.read(bytes.data(), bytes.size())) throw std::runtime_error("the image has fewer bytes than its size says");
  // The tensor borrows the bytes; clone makes it own them.
  return torch::from_blob(bytes.data(), {height, width, 3}, torch::kUInt8).clone();
}

int main(int argc, char **argv) try {
  if (argc != 5) throw std::runtime_error("usage: consume model.ts image.raw HEIGHT WIDTH");
  torch::jit::Module model = torch::jit::load(argv[1], torch::kCPU);
  model.eval();
  c10::InferenceMode guard;
  at::Tensor image = read_image(argv[2], std::atoll(argv[3]), std::atoll(argv[4]));
  auto outputs = model.forward({image}).toTuple()->elements();
  at::Tensor boxes = outputs[0].toTensor(), scores = outputs[1].toTensor(), labels = outputs[2].toTensor();
  for (int64_t i = 0; i < scores.size(0); ++i) {
    auto box = boxes[i].data_ptr<float>();
    std::printf("%lld %.9g %.9g %.9g %.9g %.9g\n", static_cast<long long>(labels[i].item<int64_t>()),
                scores[i].item<float>(), box[0], box[1], box[2], box[3]);
  }
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
