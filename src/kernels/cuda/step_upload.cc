#include "kernels/cuda/step_upload.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/advance.h"

namespace nvllm::cuda {

StepUpload::StepUpload(std::int64_t rows_max, std::int64_t lanes_max, std::int64_t blocks_per_lane, bool token_by_token)
    : rows_max_(rows_max), lanes_max_(token_by_token ? std::max(rows_max, lanes_max) : lanes_max), blocks_per_lane_(blocks_per_lane),
      token_by_token_(token_by_token),
      host_(kLanesAt + lanes_max_ * static_cast<std::int64_t>(sizeof(Lane)) + rows_max * static_cast<std::int64_t>(sizeof(StepRow))),
      host_blocks_(lanes_max_ * blocks_per_lane * 4), device_(host_.bytes()), blocks_(host_blocks_.bytes()) {
  device_.fill(0);
  blocks_.fill(0xff);
  std::fill_n(host_blocks_.as<std::int32_t>(), lanes_max_ * blocks_per_lane, -1);
}

void StepUpload::bring_lane(std::int64_t index, const Lane& lane, const Segment& segment, std::span<const std::int32_t> ids) {
  host_lanes()[index] = lane;
  bring_blocks(index, segment.blocks);
  for (int i = 0; i < lane.token_count; ++i) {
    StepRow& row = host_rows()[lane.first_row + i];
    row.id = ids[static_cast<std::size_t>(lane.first_row + i)];
    row.position = lane.start + i;
    row.lane = static_cast<std::int32_t>(index);
  }
}

void StepUpload::bring_blocks(std::int64_t lane, std::span<const std::int32_t> blocks) {
  NVLLM_CHECK_LE(static_cast<std::int64_t>(blocks.size()), blocks_per_lane_);
  std::int32_t* there = host_blocks_.as<std::int32_t>() + lane * blocks_per_lane_;
  if (std::equal(blocks.begin(), blocks.end(), there)) return;
  std::ranges::copy(blocks, there);
  changed_begin_ = std::min(changed_begin_, lane);
  changed_end_ = std::max(changed_end_, lane + 1);
}

void StepUpload::bring(std::span<const std::int32_t> ids, std::span<const Segment> segments, std::span<const std::int64_t> logit_rows,
                       std::int64_t lane_count, int chunk_tokens, Stream& stream) {
  const auto count = static_cast<std::int64_t>(segments.size()), row_count = static_cast<std::int64_t>(ids.size());
  const std::int64_t padded_rows = row_count + lane_count - count;
  NVLLM_CHECK(lane_count >= count && lane_count <= lanes_max_ && padded_rows <= rows_max_);
  *host_.as<int>() = chunk_tokens;
  std::fill_n(host_lanes(), lanes_max_, Lane{});
  std::fill_n(host_rows(), padded_rows, StepRow{});
  decode_count_ = std::ranges::count_if(segments, [](const Segment& s) { return s.token_count == 1; });
  NVLLM_CHECK(lane_count == count || decode_count_ == count);  // only a step of decode rows is padded: its graph takes no other
  std::int64_t decode = 0, prefill = decode_count_;
  changed_begin_ = lanes_max_;
  changed_end_ = 0;
  for (const Segment& segment : segments) {
    const std::int64_t each = token_by_token_ ? 1 : segment.token_count;
    for (std::int64_t done = 0; done < segment.token_count; done += each) {
      const Lane lane{.first_row = static_cast<int>(segment.first_row + done), .token_count = static_cast<int>(each),
                      .start = static_cast<int>(segment.start + done), .slot = segment.slot};
      bring_lane(segment.token_count == 1 ? decode++ : prefill++, lane, segment, ids);
    }
  }
  if (decode_count_ == count) decode_count_ = prefill = lane_count;
  lane_count_ = prefill;
  logit_rows_in_place_ = true;
  for (std::size_t i = 0; i < logit_rows.size(); ++i) {
    host_rows()[i].wanted = static_cast<std::int32_t>(logit_rows[i]);
    logit_rows_in_place_ = logit_rows_in_place_ && logit_rows[i] == static_cast<std::int64_t>(i);
  }
  const std::span wanted(host_.as<const std::byte>(), reinterpret_cast<const std::byte*>(host_rows() + padded_rows));
  if (!std::ranges::equal(wanted, there_)) {
    copy_to_device(device_.as<void>(), wanted.data(), static_cast<std::int64_t>(wanted.size()), stream);
    there_.assign(wanted.begin(), wanted.end());
  }
  if (changed_begin_ < changed_end_) {
    const std::int64_t at = changed_begin_ * blocks_per_lane_;
    copy_to_device(blocks_.as<std::int32_t>() + at, host_blocks_.as<std::int32_t>() + at, (changed_end_ - changed_begin_) * blocks_per_lane_ * 4, stream);
  }
}

void StepUpload::advance_on_device(const GreedyChoice* choices, std::int64_t lane_count, Stream& stream) const {
  advance_step(device_lanes(), device_rows(), choices, lane_count, stream);
}

void StepUpload::advanced(std::span<const GreedyChoice> choices) {
  auto* const lanes = reinterpret_cast<Lane*>(there_.data() + kLanesAt);
  auto* const rows = reinterpret_cast<StepRow*>(lanes + lanes_max_);
  for (std::size_t i = 0; i < choices.size(); ++i) advance(lanes[i], rows[i], choices[i]);
}

StepTable StepUpload::table() const {
  return {.lanes = device_lanes(), .blocks = blocks_.as<std::int32_t>(), .blocks_per_lane = static_cast<int>(blocks_per_lane_),
          .lane_count = static_cast<int>(lane_count_), .chunk_tokens = device_.as<int>()};
}

StepTable StepUpload::decode_table() const {
  StepTable out = table();
  out.lane_count = static_cast<int>(decode_count_);
  return out;
}

StepTable StepUpload::lane_table(std::int64_t index) const {
  StepTable out = table();
  out.lanes += index;
  out.blocks += index * blocks_per_lane_;
  out.lane_count = 1;
  return out;
}

std::span<const Lane> StepUpload::prefill_lanes() const {
  return {host_lanes() + decode_count_, static_cast<std::size_t>(lane_count_ - decode_count_)};
}

const StepRow* StepUpload::rows() const { return device_rows(); }

}  // namespace nvllm::cuda
