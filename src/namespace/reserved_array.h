// An array whose address space is reserved at once and whose pages are committed by touching them: it grows without moving,
// without doubling, and costs nothing for what is not used. Huge pages where the kernel gives them, for fewer TLB misses.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace sallyport {

template <typename T>
  requires std::is_trivially_copyable_v<T>
class ReservedArray {
 public:
  // Zero-filled. Aborts when not even address space is to be had: nothing can run then.
  explicit ReservedArray(std::size_t capacity) : bytes_(capacity * sizeof(T)) {
    void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
      std::fprintf(stderr, "cannot reserve %zu bytes of address space: raise ulimit -v or lower [limits] points\n", bytes_);
      std::abort();
    }
    data_ = static_cast<T*>(at);
  }
  ~ReservedArray() { ::munmap(data_, bytes_); }
  ReservedArray(const ReservedArray&) = delete;
  ReservedArray& operator=(const ReservedArray&) = delete;

  // Worth it once the table outgrows the caches; below that it would only round the memory up.
  void use_huge_pages() { ::madvise(data_, bytes_, MADV_HUGEPAGE); }

  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t capacity() const { return bytes_ / sizeof(T); }

 private:
  T* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace sallyport
