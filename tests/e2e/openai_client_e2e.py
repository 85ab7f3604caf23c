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


@unittest.skipIf(openai is None, "the openai package is not installed")
class OpenAiClientWithTools(unittest.TestCase):
    """The demo model calls nothing by itself: a call is demanded, and its arguments are whatever it says then."""
    TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
        "type": "object", "properties": {"a": {"type": "string"}}}}}]

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--tool-call-parser", "qwen3_xml", "--reasoning-parser", "think")
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def ask(self, **more):
        messages = [{"role": "user", "content": PROBLEMS[0]["question"]}]
        return self.client.chat.completions.create(model="demo", messages=messages, tools=self.TOOLS, temperature=0,
                                                   max_tokens=24, **more)

    def test_a_demanded_call_is_a_tool_call_whole_and_streamed(self):
        choice = {"type": "function", "function": {"name": "add"}}
        reply = self.ask(tool_choice=choice).choices[0]
        call = reply.message.tool_calls[0]
        self.assertEqual((call.type, call.function.name), ("function", "add"))
        self.assertTrue(call.id)
        self.assertIsNone(reply.message.content)
        name, arguments, ends = "", "", []
        for chunk in self.ask(tool_choice=choice, stream=True):
            for delta in chunk.choices[0].delta.tool_calls or []:
                self.assertEqual(delta.index, 0)
                name += delta.function.name or ""
                arguments += delta.function.arguments or ""
            ends.append(chunk.choices[0].finish_reason)
        self.assertEqual((name, arguments), ("add", call.function.arguments))
        self.assertEqual([end for end in ends if end], [reply.finish_reason])

    def test_a_conversation_with_a_call_and_its_answer_is_taken(self):
        call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{\"a\": \"1\"}"}}
        reply = self.client.chat.completions.create(
            model="demo", max_tokens=4, temperature=0, tools=self.TOOLS, parallel_tool_calls=False,
            messages=[{"role": "user", "content": "Add."}, {"role": "assistant", "content": None, "tool_calls": [call]},
                      {"role": "tool", "tool_call_id": "call_1", "content": "2"}])
        self.assertEqual(reply.choices[0].message.role, "assistant")
        self.assertEqual(reply.usage.completion_tokens_details.reasoning_tokens, 0)

    def test_arguments_that_are_no_json_raise_bad_request_with_the_field(self):
        call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{"}}
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(
                model="demo", max_tokens=4, messages=[{"role": "user", "content": "Add."},
                                                      {"role": "assistant", "content": None, "tool_calls": [call]}])
        self.assertIn("messages[1].tool_calls[0].function.arguments", str(caught.exception))
