// pool, put and take for 2x2 windows with stride 2, on planes in either memory order.
//
// kernels.py compiles this file at first use and holds the plain versions, which are its oracle.
// A plane is height x width and is pooled to half of both, rounded down. L windows are worked on at a time:
// neighbouring channels in channels-last order; in the other order neighbouring columns (channels is 1 there
// and batch counts planes).
#include "vectors.h"

struct Shape {
    int64_t batch, height, width, channels;
    int32_t threads;
};

// The left and the right cell of L windows in one row of the plane.
template <int L, class T>
static inline void read(const T* row, int64_t channels, Vector<float, L>& left, Vector<float, L>& right) {
    if (channels > 1 || L == 1) {
        left = load<L>(row), right = load<L>(row + channels);
    } else {
        read_pairs<L>(row, left, right);
    }
}

template <int L, class T>
static inline void write(T* row, int64_t channels, Vector<float, L> left, Vector<float, L> right) {
    if (channels > 1 || L == 1) {
        store<L>(left, row), store<L>(right, row + channels);
    } else {
        write_pairs<L>(row, left, right);
    }
}

struct Pool {
    template <int L, class T>
    static void run(const T* top, const T* bottom, T* values, uint8_t* codes, int64_t channels) {
        Vector<float, L> a, b, c, d;
        read<L>(top, channels, a, b), read<L>(bottom, channels, c, d);
        Vector<int32_t, L> code = {};
        challenge<L>(b, 1, a, code), challenge<L>(c, 2, a, code), challenge<L>(d, 3, a, code);
        store<L>(a, values);
        store_codes<L>(code, codes);
    }
};

struct Put {
    template <int L, class T>
    static void run(T* top, T* bottom, const T* values, const uint8_t* codes, int64_t channels) {
        const auto value = load<L>(values);
        const auto code = load_codes<L>(codes);
        const Vector<float, L> zero = {};
        write<L>(top, channels, code == 0 ? value : zero, code == 1 ? value : zero);
        write<L>(bottom, channels, code == 2 ? value : zero, code == 3 ? value : zero);
    }
};

struct Take {
    template <int L, class T>
    static void run(const T* top, const T* bottom, T* values, const uint8_t* codes, int64_t channels) {
        Vector<float, L> a, b, c, d;
        read<L>(top, channels, a, b), read<L>(bottom, channels, c, d);
        const auto code = load_codes<L>(codes);
        const Vector<float, L> zero = {};
        store<L>(code == 0 ? a : code == 1 ? b : code == 2 ? c : code == 3 ? d : zero, values);
    }
};

template <int L> struct Lanes { static constexpr int value = L; };

template <class Operation, class Plane, class Values, class Codes>
static void for_each_window(Plane* plane, Values* values, Codes* codes, const Shape& shape) {
    const int64_t rows = shape.height / 2, columns = shape.width / 2, channels = shape.channels;
    const int64_t line = shape.width * channels;
#pragma omp parallel for num_threads(shape.threads) schedule(static)
    for (int64_t row = 0; row < shape.batch * rows; row++) {
        Plane *top = plane + (row / rows * shape.height + row % rows * 2) * line, *bottom = top + line;
        int64_t window = row * columns * channels;
        const auto run = [&](auto lanes, int64_t at) {
            Operation::template run<decltype(lanes)::value>(top + at, bottom + at, values + window, codes + window, channels);
            window += lanes.value;
        };
        for (int64_t column = 0; column < (channels > 1 ? columns : 1); column++) {
            // In channels-last order a run is one window's channels, else it is the whole row of windows.
            const int64_t length = channels > 1 ? channels : columns, start = column * 2 * channels;
            const int64_t step = channels > 1 ? 1 : 2;
            int64_t i = 0;
            for (; i + LANES <= length; i += LANES) run(Lanes<LANES>{}, start + i * step);
            for (; i + 4 <= length; i += 4) run(Lanes<4>{}, start + i * step);
            for (; i < length; i++) run(Lanes<1>{}, start + i * step);
        }
    }
}

#define EXPORT(SUFFIX, T)                                                                                \
    extern "C" void pool_##SUFFIX(const T* plane, T* values, uint8_t* codes, const Shape* shape) {        \
        for_each_window<Pool>(plane, values, codes, *shape);                                              \
    }                                                                                                     \
    extern "C" void put_##SUFFIX(const T* values, const uint8_t* codes, T* plane, const Shape* shape) {   \
        for_each_window<Put>(plane, values, codes, *shape);                                               \
    }                                                                                                     \
    extern "C" void take_##SUFFIX(const T* plane, const uint8_t* codes, T* values, const Shape* shape) {  \
        for_each_window<Take>(plane, values, codes, *shape);                                              \
    }

EXPORT(float32, float)
EXPORT(bfloat16, uint16_t)
