// Vectors of N values; the compiler cuts them to what the processor has. All values are worked on as float32:
// the way to bfloat16 and back loses nothing of one that came from there.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

// How many float32 the processor's vectors hold, and how many vectors its registers. Longer vectors the compiler
// would take apart, value by value.
#if defined(__AVX512F__)
constexpr int LANES = 16, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int LANES = 8, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int LANES = 4, REGISTERS = 32;
#else
constexpr int LANES = 4, REGISTERS = 16;
#endif

template <class T, int N> using Vector [[gnu::vector_size(sizeof(T) * N)]] = T;

template <int N> static inline Vector<float, N> load(const float* from) {
    Vector<float, N> value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <int N> static inline Vector<float, N> load(const uint16_t* from) {
    Vector<uint16_t, N> bits;
    std::memcpy(&bits, from, sizeof bits);
    return (Vector<float, N>)(__builtin_convertvector(bits, Vector<uint32_t, N>) << 16);
}

template <int N> static inline void store(Vector<float, N> value, float* to) {
    std::memcpy(to, &value, sizeof value);
}

template <int N> static inline void store(Vector<float, N> value, uint16_t* to) {
    const auto bits = __builtin_convertvector((Vector<uint32_t, N>)value >> 16, Vector<uint16_t, N>);
    std::memcpy(to, &bits, sizeof bits);
}

template <int N> static inline Vector<int32_t, N> load_codes(const uint8_t* from) {
    Vector<uint8_t, N> codes;
    std::memcpy(&codes, from, sizeof codes);
    return __builtin_convertvector(codes, Vector<int32_t, N>);
}

template <int N> static inline void store_codes(Vector<int32_t, N> codes, uint8_t* to) {
    const auto bytes = __builtin_convertvector(codes, Vector<uint8_t, N>);
    std::memcpy(to, &bytes, sizeof bytes);
}

// Every other value of two vectors laid end to end; and two vectors' values in turn, first half or second.
template <class V, int... I> static inline V evens(V low, V high, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(low, high, 2 * I...);
}
template <class V, int... I> static inline V odds(V low, V high, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(low, high, 2 * I + 1 ...);
}
template <int Half, class V, int... I> static inline V turns(V a, V b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, Half * int(sizeof...(I)) / 2 + I / 2 + I % 2 * int(sizeof...(I))...);
}

// The left and the right cell of N windows that lie side by side in one row of a plane.
template <int N, class T>
static inline void read_pairs(const T* row, Vector<float, N>& left, Vector<float, N>& right) {
    const auto low = load<N>(row), high = load<N>(row + N);
    left = evens(low, high, std::make_integer_sequence<int, N>{});
    right = odds(low, high, std::make_integer_sequence<int, N>{});
}

template <int N, class T> static inline void write_pairs(T* row, Vector<float, N> left, Vector<float, N> right) {
    if constexpr (N == 1) {
        store<N>(left, row), store<N>(right, row + N);
    } else {
        store<N>(turns<0>(left, right, std::make_integer_sequence<int, N>{}), row);
        store<N>(turns<1>(left, right, std::make_integer_sequence<int, N>{}), row + N);
    }
}

// A later cell wins only where it is greater, so the first maximum stays; a NaN, once met, stays too.
template <int N>
static inline void challenge(Vector<float, N> cell, int number, Vector<float, N>& value, Vector<int32_t, N>& code) {
    code = cell > value ? code * 0 + number : code;
    value = ((cell > value) | (cell != cell)) ? cell : value;
}
