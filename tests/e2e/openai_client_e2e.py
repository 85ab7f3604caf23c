"""The official client, unchanged, against nvllm."""
import unittest

from server import PROBLEMS, Server, prompt_of

try:
    import openai
except ImportError:
    openai = None


@unittest.skipIf(openai is None, "the openai package is not installed")
class OpenAiClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def test_lists_the_model(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["demo"])

    def test_completes_a_problem_with_usage(self):
        reply = self.client.completions.create(model="demo", prompt=prompt_of(PROBLEMS[0]), max_tokens=200, temperature=0)
        self.assertEqual(reply.choices[0].text, PROBLEMS[0]["answer"])
        self.assertEqual(reply.choices[0].finish_reason, "stop")
        self.assertEqual(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)

    def test_streams_the_same_text(self):
        parts = self.client.completions.create(model="demo", prompt=prompt_of(PROBLEMS[1]), max_tokens=200,
                                               temperature=0, stream=True, stream_options={"include_usage": True})
        chunks = list(parts)
        text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
        self.assertEqual(text, PROBLEMS[1]["answer"])
        self.assertGreater(len(chunks), 5)
        self.assertEqual(chunks[-1].choices, [])
        self.assertGreater(chunks[-1].usage.completion_tokens, 5)

    def test_chats_plain_and_streamed(self):
        messages = [{"role": "user", "content": PROBLEMS[2]["question"]}]
        reply = self.client.chat.completions.create(model="demo", messages=messages, max_tokens=200, temperature=0)
        self.assertEqual(reply.choices[0].message.role, "assistant")
        self.assertIn("####", reply.choices[0].message.content)
        stream = self.client.chat.completions.create(model="demo", messages=messages, max_tokens=200, temperature=0, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        self.assertEqual(text, reply.choices[0].message.content)

    def test_reports_log_probabilities(self):
        reply = self.client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": PROBLEMS[3]["question"]}], max_tokens=4,
            temperature=0, logprobs=True, top_logprobs=3)
        content = reply.choices[0].logprobs.content
        self.assertEqual(len(content), 4)
        for token in content:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertLessEqual(token.logprob, 0)
            self.assertAlmostEqual(token.logprob, token.top_logprobs[0].logprob, places=4)

    def test_samples_n_choices_that_a_seed_repeats(self):
        def draw():
            reply = self.client.completions.create(model="demo", prompt="The ", max_tokens=12, n=3, seed=7, temperature=1.0)
            return [choice.text for choice in reply.choices]
        first = draw()
        self.assertEqual(len(set(first)), 3)
        self.assertEqual(draw(), first)

    def test_an_impossible_request_raises_bad_request_with_the_field(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.completions.create(model="demo", prompt="x", max_tokens=5, temperature=9)
        self.assertIn("temperature", str(caught.exception))

    def test_an_unknown_model_raises_not_found(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.completions.create(model="other", prompt="x", max_tokens=5)
