// Planes of pixels, one a channel, so that a vector is L neighbouring pixels however few channels there are; and
// their products, in float32 or, rounded before, in bfloat16 with sums in float32.
#pragma once
#include <memory>
#include <type_traits>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "vectors.h"

constexpr int L = LANES;
using Floats = Vector<float, L>;

// A vector from anywhere. The compiler would rather read it anew for each use, which takes longer.
static inline Floats load_once(const char* from) {
    Floats value;
    std::memcpy(&value, from, sizeof value);
#ifdef __AVX512F__
    asm("" : "+v"(value));
#endif
    return value;
}

template <int N> static inline float sum(Vector<float, N> value) {
    if constexpr (N == 1) {
        return value[0];
    } else {
        Vector<float, N / 2> halves[2];
        std::memcpy(halves, &value, sizeof value);
        return sum<N / 2>(halves[0] + halves[1]);
    }
}

// Planes of height x width pixels in a border of zeros: those to the right of a line are left of the next one.
struct Planes {
    int64_t channels, height, width, length, size, kept;
    std::unique_ptr<Floats[]> buffer;

    // Of passing planes two lines stay, the even and the odd one last written.
    Planes(int64_t channels, int64_t height, int64_t width, bool passing = false)
        : channels(channels), height(height), width(width), length((width + L) / L * L),
          size(((passing ? 2 : height) + 2) * length), kept(passing ? 1 : -1) {
        open();
    }

    void open() {
        buffer.reset(new Floats[(channels * size + 2 * L) / L]);
        clear(0, L), clear(L + channels * size, L);
        for (int64_t c = 0; c < channels; c++) {
            const int64_t first = L + c * size, filled = width / L * L;
            clear(first, length), clear(first + size - length, length);
            for (int64_t at = first + length; at < first + size - length; at += length) clear(at + filled, length - filled);
        }
    }
    void close() { buffer.reset(); }

    float* line(int64_t channel, int64_t y) { return (float*)buffer.get() + L + channel * size + ((y & kept) + 1) * length; }
    const float* line(int64_t channel, int64_t y) const { return const_cast<Planes*>(this)->line(channel, y); }
    Floats at(int64_t channel, int64_t y, int64_t x) const { return load<L>(line(channel, y) + x); }
    // The vectors of a line; the last one may reach into the border, which `trim` makes zero again.
    int64_t reach() const { return (width + L - 1) / L * L; }
    void trim(int64_t channel, int64_t y) {
        float* at = line(channel, y);
        for (int64_t x = width; x < reach(); x++) at[x] = 0;
    }

  private:
    void clear(int64_t first, int64_t count) { std::memset((float*)buffer.get() + first, 0, count * sizeof(float)); }
};

// How values are multiplied and summed: one float32 of each operand at a time,
struct Single {
    static constexpr int PIXEL = sizeof(float);
    static Floats all(float value) { return value - Floats{}; }
    static Floats add(Floats total, Floats a, Floats b) { return total + a * b; }
};

// or two bfloat16 of each, which lie in the place of a float.
struct Pair {
    static constexpr int PIXEL = sizeof(uint16_t);
    static Floats all(float value) {
        int32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        return (Floats)(bits - Vector<int32_t, L>{});
    }
    static Floats add(Floats total, Floats a, Floats b) {
#ifdef __AVX512BF16__
        return (Floats)_mm512_dpbf16_ps((__m512)total, (__m512bh)a, (__m512bh)b);
#else
        const auto low = [](Floats pair) { return (Floats)((Vector<uint32_t, L>)pair << 16); };
        const auto high = [](Floats pair) { return (Floats)((Vector<uint32_t, L>)pair & 0xffff0000u); };
        return total + low(a) * low(b) + high(a) * high(b);
#endif
    }
};

// Values as bfloat16, to the nearest, in the upper halves; what is left in the lower ones means nothing.
template <class Values, class Bits = std::conditional_t<std::is_same_v<Values, float>, uint32_t, Vector<uint32_t, L>>>
static inline Bits rounded(Values value) {
    Bits bits;
    std::memcpy(&bits, &value, sizeof bits);
    return value == value ? bits + 0x7fff + (bits >> 16 & 1) : bits;
}

template <class Values> static inline Values pair(Values low, Values high) {
    const auto bits = rounded(low) >> 16 | (rounded(high) & 0xffff0000u);
    Values both;
    std::memcpy(&both, &bits, sizeof both);
    return both;
}

// Planes to be multiplied. In bfloat16 their values pass by and are kept rounded, twice over: two channels side by
// side, for sums over channels, and two neighbouring pixels, for sums over pixels. The former go when done with.
struct Operand : Planes {
    bool bfloat16;
    Planes channel_pairs, pixel_pairs;

    // Lines that several threads write at once cannot pass by.
    Operand(int64_t channels, int64_t height, int64_t width, bool bfloat16, int threads)
        : Planes(channels, height, width, bfloat16 && threads == 1), bfloat16(bfloat16),
          channel_pairs(bfloat16 ? (channels + 1) / 2 : 0, height, width),
          pixel_pairs(bfloat16 ? channels : 0, height, (width + 1) / 2) {}

    Floats at(int64_t channel, int64_t y, int64_t x) const {
        return bfloat16 ? load<L>((const uint16_t*)pixel_pairs.line(channel, y) + x) : Planes::at(channel, y, x);
    }

    // Rounds line y of some channels, beginning with an even one.
    void round(int64_t y, int64_t first, int64_t count) {
        for (int64_t c = first; bfloat16 && c < first + count; c += 2)
            for (int64_t x = 0; x < reach(); x += L) {
                const bool both = c + 1 < channels;
                const Floats one = Planes::at(c, y, x), other = both ? Planes::at(c + 1, y, x) : Floats{};
                store<L>(pair(one, other), channel_pairs.line(c / 2, y) + x);
                store_half(one, c, y, x);
                if (both) store_half(other, c + 1, y, x);
            }
    }
    void round(int64_t y) { round(y, 0, channels); }

  private:
    void store_half(Floats value, int64_t channel, int64_t y, int64_t x) {
        store<L>((Floats)rounded(value), (uint16_t*)pixel_pairs.line(channel, y) + x);
    }
};
