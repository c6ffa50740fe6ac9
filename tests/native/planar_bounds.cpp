// Runs planar.cpp over small planes of awkward sizes; a sanitizer says whether it leaves its memory. A vector may
// reach over the last pixel of a line: what it reads there must be memory of ours, and finite.
#include <cstdio>
#include <cstdlib>
#include <cmath>

#include "planar.cpp"

int main() {
    for (int64_t side : {4, 8, 12, 16, 20, 24, 36, 44, 48, 100})
        for (int threads : {1, 3})
            for (int64_t images : {1, 3})
                for (int bfloat16 : {0, 1}) {
                    const int64_t half = side / 2, quarter = side / 4, widths[] = {5, 3};
                    std::vector<uint8_t> fine(images * 5 * half * half), coarse(images * 3 * quarter * quarter);
                    uint8_t* codes[] = {fine.data(), coarse.data()};
                    const int64_t strides[] = {5 * half * half, half * half, half, 1, 3 * quarter * quarter, quarter * quarter, quarter, 1};
                    const Network network{images, side, side, 2, widths, codes, strides, threads, bfloat16};
                    std::vector<float> parameters(network.parameters(), 0.1f), gradients(parameters.size());
                    std::vector<float> pixels(images * 3 * side * side, 0.3f), output(pixels.size()), features(coarse.size());
                    const Images targets{pixels.data(), 3 * side * side, side * side, side, 1};
                    encode(&targets, parameters.data(), features.data(), &network);
                    decode(parameters.data(), output.data(), &network);
                    squared_error(parameters.data(), &targets, gradients.data(), &network);
                    for (float gradient : gradients)
                        if (!std::isfinite(gradient)) return std::printf("a gradient is not finite at %d\n", int(side)), 1;
                }
    return 0;
}
