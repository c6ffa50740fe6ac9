// Runs codec.cpp over levels of random geometry: what it wrote itself, the same cut short, and bytes that nobody wrote.
// A sanitizer says whether it leaves its memory, which is therefore no larger than what it may touch.
//
//     codec_bounds ROUNDS SEED
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "codec.cpp"

static std::mt19937 engine;

static int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(engine); }

template <class T> static std::vector<T> drawn(int64_t count, int least, int most) {
    std::vector<T> values(count);
    for (auto& value : values) value = T(draw(least, most));
    // Without room to spare, of which a sanitizer would know nothing.
    values.shrink_to_fit();
    return values;
}

static std::vector<uint16_t> squash_table() {
    std::vector<uint16_t> table(4096);
    for (int i = 0; i < 4096; i++)
        table[i] = uint16_t(std::min(65472.0, std::max(64.0, 65536 / (1 + std::exp((2048 - i) / 256.0)))));
    return table;
}

// Codes that compress or do not, of windows of so many cells.
static std::vector<uint8_t> drawn_codes(int64_t count, int cells) {
    const int most = draw(0, 2) ? cells - 1 : 0;
    return drawn<uint8_t>(count, 0, most);
}

static void fail(const char* what, const Shape& shape) {
    std::printf("%s: %d images, %d channels, %dx%d\n", what, int(shape.images), int(shape.channels), int(shape.height),
                int(shape.width));
    std::exit(1);
}

// Write codes, and read what was written, its beginning, and random bytes. `Run` calls a function of codec.cpp.
template <class Run> static void attack(const Shape& shape, int cells, int bits, Run run) {
    const int64_t count = shape.images * shape.channels * shape.height * shape.width;
    const auto codes = drawn_codes(count, cells);
    auto back = codes;
    std::vector<uint8_t> bytes(count * bits / 8 + 8);
    const int64_t written = run(back.data(), bytes.data(), int64_t(bytes.size()), 0);
    if (back != codes) fail("writing changed the codes", shape);
    if (written >= 0) {
        const std::vector<uint8_t> whole(bytes.begin(), bytes.begin() + written);
        std::fill(back.begin(), back.end(), 0);
        run(back.data(), const_cast<uint8_t*>(whole.data()), written, 1);
        if (back != codes) fail("what was read is not what was written", shape);
        const int64_t length = draw(0, int(written));
        std::vector<uint8_t> cut(whole.begin(), whole.begin() + length);
        run(back.data(), cut.data(), length, 1);
    }
    auto noise = drawn<uint8_t>(draw(0, int(count)), 0, 255);
    run(back.data(), noise.data(), int64_t(noise.size()), 1);
    for (uint8_t code : back)
        if (code >= cells) fail("a code lies outside its window", shape);
}

static void attack_learned(const std::vector<uint16_t>& squash) {
    // Now and then of more than one tile.
    const Shape shape{draw(1, 2), draw(1, 4), draw(0, 9) ? draw(1, 12) : draw(60, 70), draw(0, 9) ? draw(1, 12) : draw(60, 70)};
    // The level above is smaller or larger than it should be, or not there.
    const Shape above{shape.images, draw(0, 4), draw(1, 40), draw(1, 40)};
    const int reach = 2 * draw(0, 2) + 1, above_reach = 2 * draw(0, 1) + 1;
    const int64_t own = shape.channels, deep = above.channels;
    const auto trunk = drawn<uint16_t>(own * reach * reach * 5 * HIDDEN, 0, 65535);
    const auto rows = drawn<uint16_t>(deep * above_reach * above_reach * 5 * 4 * HIDDEN, 0, 65535);
    const auto bias = drawn<uint16_t>(own * HIDDEN, 0, 65535);
    const auto middle = drawn<int32_t>(own * HIDDEN * MIDDLE, -128, 127);
    const auto middle_bias = drawn<int32_t>(own * MIDDLE, -99999, 99999);
    const auto near = drawn<int32_t>(own * OWN * 5 * MIDDLE, -128, 127);
    const auto out = drawn<int32_t>(own * 3 * MIDDLE, -128, 127);
    const auto out_bias = drawn<int32_t>(own * 3, -99999, 99999);
    const Weights weights{reach,        above_reach,        trunk.data(), rows.data(),     bias.data(),  middle.data(),
                          middle_bias.data(), near.data(), out.data(),   out_bias.data(), squash.data()};
    const auto codes_above = drawn<uint8_t>(above.images * deep * above.height * above.width, 0, 3);
    attack(shape, 4, 2, [&](uint8_t* codes, uint8_t* bytes, int64_t size, int32_t decoding) {
        return learned(&shape, &above, &weights, codes, codes_above.data(), bytes, size, decoding);
    });
}

static void attack_adaptive(const std::vector<uint16_t>& squash) {
    const Shape shape{draw(1, 3), draw(1, 6), draw(1, 12), draw(1, 12)};
    const int all[] = {1, 2, 3, 4, 9, 200, 256}, cells = all[draw(0, 6)];
    int bits = 0;
    while (1 << bits < cells) bits++;
    std::vector<int32_t> peers;
    for (int channel = 0; channel < shape.channels; channel++)
        for (int peer = 0; peer < 2; peer++) peers.push_back(draw(-1, channel - 1));
    std::vector<int8_t> reads;
    for (int read = 0; read < CONTEXTS * READS; read++) {
        reads.push_back(draw(-1, 2));
        for (int axis = 0; axis < 2; axis++) reads.push_back(draw(-2, 2));
    }
    const auto stretch = drawn<int16_t>(4096, -2047, 2047);
    const Windows windows{cells, bits, peers.data(), reads.data(), squash.data(), stretch.data()};
    attack(shape, cells, bits, [&](uint8_t* codes, uint8_t* bytes, int64_t size, int32_t decoding) {
        return adaptive(&shape, &windows, codes, bytes, size, decoding);
    });
}

int main(int count, char** arguments) {
    if (count != 3) return std::printf("codec_bounds ROUNDS SEED\n"), 2;
    engine.seed(unsigned(std::atol(arguments[2])));
    const auto squash = squash_table();
    for (long round = 0; round < std::atol(arguments[1]); round++) {
        attack_learned(squash);
        attack_adaptive(squash);
    }
    return 0;
}
