// Crops of frames in frame slots: copied from there, or decoded whole into a slot on the way to the
// batch. One call for a clip. No Python.
#pragma once

#include "crops.h"
#include "frame_slots.h"

namespace fastclips::jpeg {

// What became of a frame, beside the rungs on which its crop was decoded.
inline constexpr std::uint8_t kHeld = 16;    // copied from its slot
inline constexpr std::uint8_t kFilled = 17;  // decoded whole, into its slot and the batch
// How long a clip waits for other workers that fill slots, in all: a few frames' time.
inline constexpr std::chrono::milliseconds kPatience{5};

// A frame of a clip: where it is kept, and its row in the batch.
struct Shared {
    FrameKey key;
    std::uint32_t slot, row;
};

// Copies crops from slots and fills slots.
class SharedCrops {
  public:
    SharedCrops(FrameArea& area, const Crop& crop, std::uint8_t* out)
        : area_(area),
          crop_(crop),
          tools_(crop),
          out_(out),
          pitch_(std::size_t{(crop.width + crop.scale - 1) / crop.scale} * crop.channels) {}

    // Copy a crop from its slot; false if the slot does not hold the frame, even after some rows.
    bool copy(const Shared& shared) {
        const std::optional<Kept> kept = area_.look(shared.slot, shared.key);
        if (!kept || kept->asked != crop_.scale || kept->scale != crop_.scale ||
            kept->height != crop_.height || kept->width != crop_.width)
            return false;
        const RowWriter writer = writer_of(shared);
        const std::uint8_t* from = area_.pixels(shared.slot) + top() * pitch_ + left();
        // The hardware fetches ahead of memcpy, but not of rows that are read in reverse. The
        // address need not be mapped.
        const std::size_t ahead = crop_.mirrored ? crop_.pixels() : 0;
        for (std::uint32_t y = 0; y < crop_.box_height(); ++y, from += pitch_) {
            for (std::size_t i = 0; i < ahead; i += kLine)
                __builtin_prefetch(from + kAhead * pitch_ + i);
            writer.put(y, from);
        }
        writer.finish(true);
        return area_.unchanged(shared.slot, kept->word);
    }

    // Decode a frame whole, into its claimed slot and, what is in the crop, into the batch.
    Rung fill(RegionDecoder& decoder, Bytes file, const Shared& shared) {
        const std::optional<Frame> frame = parse_frame(file);
        Rung rung = Rung::kDeclined;
        if (frame && frame->height == crop_.height && frame->width == crop_.width) {
            const RowWriter writer = writer_of(shared);
            const Box whole{0, 0, crop_.height, crop_.width};
            FrameRows rows{writer, area_.pixels(shared.slot), pitch_, top(),
                           left(), crop_.box_height()};
            rung = decoder.decode_rows(file, *frame, whole, crop_.scale, rows);
            writer.finish(rung != Rung::kDeclined);
        }
        if (rung == Rung::kDeclined) {
            area_.abandon(shared.slot);
        } else {
            area_.finish(shared.slot, shared.key,
                         {0, crop_.height, crop_.width, crop_.scale, crop_.scale,
                          static_cast<std::uint32_t>(rung)});
        }
        return rung;
    }

    // Give a frame that is in no slot to the batch, and to its slot if nobody else writes it:
    // kHeld, kFilled or a rung; kDeclined if the file is left to Python. With `deadline`, wait for
    // another worker that fills the slot; without, return nothing for such a frame.
    std::optional<std::uint8_t> share(RegionDecoder& decoder, Bytes file, const Shared& shared,
                                      std::optional<Clock::time_point> deadline) {
        if (copy(shared)) return kHeld;
        auto claim = FrameArea::Claim::kLater;
        if (area_.fits(crop_.height, crop_.width, crop_.scale)) claim = area_.claim(shared.slot);
        if (claim == FrameArea::Claim::kBusy) {
            if (!deadline) return std::nullopt;
            area_.wait(shared.slot, *deadline);
            if (copy(shared)) return kHeld;
        }
        if (claim == FrameArea::Claim::kMine)
            return fill(decoder, file, shared) == Rung::kDeclined
                       ? static_cast<std::uint8_t>(Rung::kDeclined)
                       : kFilled;
        return static_cast<std::uint8_t>(decode_crop(decoder, file, crop_, tools_, out_of(shared)));
    }

  private:
    // The rows of a frame: all go into its slot, and what is in the crop also into the batch.
    struct FrameRows {
        const RowWriter& writer;
        std::uint8_t* pixels;
        std::size_t pitch, top, left, height;  // of the crop

        std::uint8_t* place(std::uint32_t y) const { return pixels + y * pitch; }
        void put(std::uint32_t y, const std::uint8_t* from) const {
            if (from != place(y)) std::memcpy(place(y), from, pitch);
            if (y - top < height) writer.put(static_cast<std::uint32_t>(y - top), from + left);
        }
    };

    std::size_t top() const { return crop_.box.top / crop_.scale; }
    std::size_t left() const { return std::size_t{crop_.box.left / crop_.scale} * crop_.channels; }
    std::uint8_t* out_of(const Shared& shared) const { return out_ + shared.row * crop_.bytes(); }
    RowWriter writer_of(const Shared& shared) { return {crop_, tools_, out_of(shared)}; }

    FrameArea& area_;
    const Crop& crop_;
    RowTools tools_;
    std::uint8_t* out_;
    std::size_t pitch_;  // of a slot's rows
};

// Copy what slots hold of a clip's frames; store kHeld or kDeclined for each in `marks`.
inline void copy_crops(FrameArea& area, const std::vector<Shared>& frames, const Crop& crop,
                       std::uint8_t* out, char* marks) {
    std::fill_n(marks, frames.size(), static_cast<char>(Rung::kDeclined));
    if (!crop.fits()) return;
    SharedCrops crops(area, crop, out);
    for (std::size_t i = 0; i < frames.size(); ++i)
        if (crops.copy(frames[i])) marks[i] = static_cast<char>(kHeld);
}

// Share a clip's frames as SharedCrops::share() does. Frames that other workers fill come last, so
// that workers whose clips overlap divide the frames among them.
inline void share_crops(RegionDecoder& decoder, FrameArea& area, const std::vector<Bytes>& files,
                        const std::vector<Shared>& frames, const Crop& crop, std::uint8_t* out,
                        char* marks) {
    std::fill_n(marks, frames.size(), static_cast<char>(Rung::kDeclined));
    if (!crop.fits()) return;
    SharedCrops crops(area, crop, out);
    std::vector<std::size_t> busy;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const auto mark = crops.share(decoder, files[i], frames[i], std::nullopt);
        if (mark)
            marks[i] = static_cast<char>(*mark);
        else
            busy.push_back(i);
    }
    const auto deadline = Clock::now() + kPatience;
    for (const std::size_t i : busy)
        marks[i] = static_cast<char>(*crops.share(decoder, files[i], frames[i], deadline));
}

}  // namespace fastclips::jpeg
