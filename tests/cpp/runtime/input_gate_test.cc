#include "headrace/runtime/input_gate.h"

#include <gtest/gtest.h>

#include <string>

#include "testing/test_rows.h"

namespace headrace {
namespace {

class InputGateTest : public testing::Test {
 protected:
  InputGateTest() {
    for (auto& channel : channels_) channel = std::make_shared<Channel>(100, 1 << 20);
    gate_ = std::make_unique<InputGate>(
        std::vector<InputGate::Input>{{channels_[0], 0}, {channels_[1], 1}});
  }
  void Row(int channel, int64_t x) {
    channels_[channel]->Push(StreamElement::Batch(MakeTestBatch({{0, 0, x, 0, 0}})));
  }
  void Watermark(int channel, TimestampMs time) {
    channels_[channel]->Push(StreamElement::Watermark(time));
  }
  void Control(int channel, StreamElement::Kind kind) {
    channels_[channel]->Push(StreamElement::Control(kind));
  }
  // Everything that can be read, as "r7.0 w10 b3 idle active end".
  std::string ReadAll() {
    std::string text;
    StreamElement element;
    while (gate_->Next(&element)) {
      if (!text.empty()) text += " ";
      switch (element.kind) {
        case StreamElement::Kind::kBatch:
          text += "r" + std::to_string(TestRowAt(element.batch, 0).x) + "." +
                  std::to_string(element.input);
          break;
        case StreamElement::Kind::kWatermark:
          text +=
              element.watermark == kMaxWatermark ? "wmax" : "w" + std::to_string(element.watermark);
          break;
        case StreamElement::Kind::kBarrier:
          text += "b" + std::to_string(element.checkpoint);
          break;
        case StreamElement::Kind::kIdle:
          text += "idle";
          break;
        case StreamElement::Kind::kActive:
          text += "active";
          break;
        case StreamElement::Kind::kEndOfInput:
          text += "end";
          break;
      }
    }
    return text;
  }

  std::shared_ptr<Channel> channels_[2];
  std::unique_ptr<InputGate> gate_;
};

TEST_F(InputGateTest, WatermarkIsTheMinimumOfTheChannels) {
  Watermark(0, 10);
  EXPECT_EQ(ReadAll(), "");
  Watermark(1, 5);
  EXPECT_EQ(ReadAll(), "w5");
  Watermark(1, 20);
  EXPECT_EQ(ReadAll(), "w10");
}

TEST_F(InputGateTest, IdleChannelDoesNotHoldTimeBack) {
  Watermark(0, 10);
  Control(1, StreamElement::Kind::kIdle);
  EXPECT_EQ(ReadAll(), "w10");
  Control(0, StreamElement::Kind::kIdle);
  EXPECT_EQ(ReadAll(), "idle");
  Control(1, StreamElement::Kind::kActive);
  EXPECT_EQ(ReadAll(), "active");
}

TEST_F(InputGateTest, RowsBehindABarrierWaitUntilTheOtherChannelDeliversIt) {
  Row(0, 1);
  channels_[0]->Push(StreamElement::Barrier(1));
  Row(0, 2);
  Row(1, 3);
  EXPECT_EQ(ReadAll(), "r1.0 r3.1");
  EXPECT_FALSE(gate_->readable());
  channels_[1]->Push(StreamElement::Barrier(1));
  EXPECT_EQ(ReadAll(), "b1 r2.0");
}

TEST_F(InputGateTest, EndOfOneChannelCompletesTheAlignment) {
  channels_[0]->Push(StreamElement::Barrier(4));
  Row(0, 1);
  Row(1, 2);
  Control(1, StreamElement::Kind::kEndOfInput);
  EXPECT_EQ(ReadAll(), "r2.1 b4 r1.0");
  Control(0, StreamElement::Kind::kEndOfInput);
  EXPECT_EQ(ReadAll(), "wmax end");
  EXPECT_TRUE(gate_->ended());
}

TEST_F(InputGateTest, ReadsChannelsInTurn) {
  for (int i = 0; i < 3; ++i) Row(0, i);
  for (int i = 0; i < 3; ++i) Row(1, 10 + i);
  EXPECT_EQ(ReadAll(), "r0.0 r10.1 r1.0 r11.1 r2.0 r12.1");
}

}  // namespace
}  // namespace headrace
