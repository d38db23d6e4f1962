// Decode the same box of several JPEGs into rows of a batch, in one call for a clip; or write that
// of frames that are pixels already. No Python.
#pragma once

#include "crop_rows.h"
#include "region.h"

namespace fastclips::jpeg {

// Decode the box of a file and write its rows one after the other; kDeclined if that failed, even
// after some rows.
inline Rung decode_crop(RegionDecoder& decoder, Bytes file, const Crop& crop, RowTools& tools,
                        std::uint8_t* out) {
    const std::optional<Frame> frame = parse_frame(file);
    if (!frame || frame->height != crop.height || frame->width != crop.width)
        return Rung::kDeclined;
    const RowWriter writer(crop, tools, out);
    const Rung rung = decoder.decode_rows(file, *frame, crop.box, crop.scale, writer);
    writer.finish(rung != Rung::kDeclined);
    return rung;
}

// Decode a crop of several files, each into its own row of `out`, and store the rung of each in
// `rungs`. All files are declined if the box leaves the frame.
inline void decode_crops(RegionDecoder& decoder, const std::vector<Bytes>& files, const Crop& crop,
                         const std::vector<std::uint32_t>& rows, std::uint8_t* out, char* rungs) {
    std::fill_n(rungs, files.size(), static_cast<char>(Rung::kDeclined));
    if (!crop.fits()) return;
    RowTools tools(crop);
    for (std::size_t i = 0; i < files.size(); ++i)
        rungs[i] = static_cast<char>(
            decode_crop(decoder, files[i], crop, tools, out + rows[i] * crop.bytes()));
}

// Pixels of a frame; rows are `pitch` bytes apart.
struct Pixels {
    const std::uint8_t* data;
    std::ptrdiff_t pitch;
};

// Write a crop of a frame that is decoded already, at the crop's scale.
inline void write_crop(const Crop& crop, const Pixels& frame, RowTools& tools, std::uint8_t* out) {
    const RowWriter writer(crop, tools, out);
    const std::uint8_t* from = frame.data + crop.box.top / crop.scale * frame.pitch +
                               std::size_t{crop.box.left / crop.scale} * crop.channels;
    for (std::uint32_t y = 0; y < crop.box_height(); ++y, from += frame.pitch) writer.put(y, from);
    writer.finish(true);
}

// Write crops of frames, where there are any, each into its own row of `out`, and store kArray.
inline void write_crops(const std::vector<std::optional<Pixels>>& frames, const Crop& crop,
                        const std::vector<std::uint32_t>& rows, std::uint8_t* out, char* rungs) {
    if (!crop.fits()) return;
    RowTools tools(crop);
    for (std::size_t i = 0; i < frames.size(); ++i) {
        if (!frames[i]) continue;
        write_crop(crop, *frames[i], tools, out + rows[i] * crop.bytes());
        rungs[i] = static_cast<char>(Rung::kArray);
    }
}

}  // namespace fastclips::jpeg
