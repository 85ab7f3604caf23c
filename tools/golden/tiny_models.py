"""Makes the tiny checkpoints of tests/data/tiny_models and their reference logits with transformers.

    python3 -m venv DIR && DIR/bin/pip install transformers==5.23.0 torch==2.9.1 safetensors==0.8.0
    OMP_NUM_THREADS=1 DIR/bin/python tools/golden/tiny_models.py tests/data/tiny_models

Every checkpoint is written by transformers itself (save_pretrained) with random weights in every
tensor: the ones and zeros that norms and dt_bias start from would hide a norm that is never applied.
It is read back as users read it (from_pretrained in the file's BF16, eager attention, none of the
optional kernel packages) and run over a prompt and a greedy continuation with transformers' cache.
golden.safetensors holds the logits of every position, prompt and continuation, from three runs:

    logits          weights widened to float64; transformers' own code, which still casts to float32
                    inside norms, rope, softmax and the delta rule
    logits_widened  the same code with those casts widened to float64: the unrounded result
    logits_bf16     the same code in BF16 throughout: what rounding every activation costs

golden.json holds the token ids, the distances between the three runs, and the versions.
"""

import argparse
import contextlib
import hashlib
import json
import math
import pathlib
import platform

import safetensors
import safetensors.torch
import torch
import transformers

PROMPT_TOKENS, NEW_TOKENS = 24, 8
LEAST_MARGIN, LARGEST_ROUNDING = 0.01, 0.25  # in logits, which reach about 5
COMMON = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256)
HYBRID = dict(
    COMMON, num_hidden_layers=4, head_dim=32, linear_num_key_heads=2, linear_key_head_dim=24,
    linear_value_head_dim=16, attn_output_gate=True,
    layer_types=["linear_attention", "full_attention", "linear_attention", "linear_attention"],
    rope_parameters=dict(rope_type="default", rope_theta=1e7, partial_rotary_factor=0.25,
                         mrope_section=[2, 1, 1], mrope_interleaved=True))
VISION = dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, patch_size=2, out_hidden_size=32,
              num_position_embeddings=4, temporal_patch_size=1, spatial_merge_size=1)


def qwen3_5_text(**fields):
    return transformers.Qwen3_5ForCausalLM(transformers.Qwen3_5TextConfig(**HYBRID, **fields))


def qwen3_5_wrapper(**fields):
    """The layout of the published files: text_config, model.language_model. names, a vision tower."""
    config = transformers.Qwen3_5Config(text_config=dict(HYBRID, **fields), vision_config=VISION,
                                        tie_word_embeddings=fields["tie_word_embeddings"])
    return transformers.Qwen3_5ForConditionalGeneration(config)


def qwen3(**fields):
    return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(
        **COMMON, num_hidden_layers=3, head_dim=16, **fields))


def llama(**fields):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **COMMON, num_hidden_layers=3, rms_norm_eps=1e-5, **fields))


# The rope settings put pairs into every branch of their scaling rules.
MODELS = {
    "qwen3_5_ratio1": lambda: qwen3_5_text(linear_num_value_heads=2, tie_word_embeddings=True),
    "qwen3_5_ratio3": lambda: qwen3_5_wrapper(linear_num_value_heads=6, tie_word_embeddings=False),
    "qwen3_tied": lambda: qwen3(
        tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6)),
    "qwen3_yarn": lambda: qwen3(
        tie_word_embeddings=False, attention_bias=True,
        rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0,
                             original_max_position_embeddings=64)),
    "llama3_tied": lambda: llama(
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=64)),
    "llama_biased": lambda: llama(
        tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        rope_parameters=dict(rope_type="default", rope_theta=1e4)),
}


def drawn(model_name, name, start):
    """Random values for a parameter, from its names alone; `start` is what transformers put there."""
    seed = int.from_bytes(hashlib.sha256(f"{model_name}/{name}".encode()).digest()[:7], "little")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(start.shape, generator=generator, dtype=torch.float64)
    if name.endswith("A_log"):  # rates from 0.03 to 3: some heads forget, some remember
        return torch.linspace(math.log(0.03), math.log(3.0), start.numel()) + 0.1 * noise
    if name.endswith("dt_bias"):
        return noise
    if name.endswith("conv1d.weight"):
        return 0.5 * noise
    if name.endswith("norm.weight") or "layernorm" in name or "norm1" in name or "norm2" in name:
        return start + 0.3 * noise  # from ones where the rule is w, from zeros where it is 1 + w
    if name.endswith("bias"):
        return 0.3 * noise
    if "embed_tokens" in name:
        return 0.2 * noise  # so that a tied head does not simply repeat the last token
    if "lm_head" in name:
        return 2.0 * noise / math.sqrt(start.shape[-1])
    return noise / math.sqrt(math.prod(start.shape[1:]))


def write_checkpoint(name, folder):
    model = MODELS[name]()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(drawn(name, parameter_name, parameter))
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "qwen3_5_ratio3":
        # Published files store these two in F32, and from_pretrained in BF16 rounds them.
        path = folder / "model.safetensors"
        tensors = safetensors.torch.load_file(path)
        for key, value in tensors.items():
            if key.endswith(("linear_attn.A_log", "linear_attn.norm.weight")):
                tensors[key] = value.float() * (1 + 1e-3)
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def open_checkpoint(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="eager").eval()


@contextlib.contextmanager
def float32_means_float64():
    saved = torch.float32, torch.float, torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = saved


def widened(model):
    """A copy of the model, built anew so that the rope's frequencies are computed in float64 too."""
    copy = type(model)._from_config(model.config, dtype=torch.float64, attn_implementation="eager")
    copy.load_state_dict(model.state_dict())
    return copy.eval()


@torch.no_grad()
def run(model, prompt, forced=None):
    """Logits of the prompt's positions, then of each new token; greedy unless tokens are forced."""
    cache = transformers.DynamicCache(config=model.config)
    rows, tokens, given = [], [], prompt
    for step in range(NEW_TOKENS):
        ids = torch.tensor([given])
        rows.append(model(ids, past_key_values=cache, use_cache=True).logits[0])
        tokens.append(forced[step] if forced else int(rows[-1][-1].argmax()))
        given = tokens[-1:]
    return torch.cat(rows), tokens


def distance(a, b):
    difference = (a.double() - b.double()).abs()
    return {"largest": difference.max().item(), "rms": difference.pow(2).mean().sqrt().item()}


def least_margin(logits):
    """How far the runner-up is behind at the closest greedy choice."""
    best = logits[PROMPT_TOKENS - 1:].topk(2).values
    return (best[:, 0] - best[:, 1]).min().item()


def choose_prompt(rounded, exact):
    """The first random prompt whose greedy completion has no near-tie and does not repeat itself,
    and which no token turns into a badly conditioned one: where DeltaNet reads next to nothing, its
    norm blows the rounding of that nothing up, and a tolerance taken from such a run allows anything."""
    for seed in range(1000):
        draw = torch.Generator().manual_seed(seed)
        prompt = torch.randint(0, COMMON["vocab_size"], (PROMPT_TOKENS,), generator=draw).tolist()
        logits, tokens = run(exact, prompt)
        if least_margin(logits) < LEAST_MARGIN or len(set(tokens)) <= NEW_TOKENS // 2:
            continue
        if distance(run(rounded, prompt, tokens)[0], logits)["largest"] < LARGEST_ROUNDING:
            return seed, prompt
    raise SystemExit("no prompt will do")


def make(name, folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_checkpoint(name, folder)
    rounded, exact = open_checkpoint(folder), open_checkpoint(folder).double()
    seed, prompt = choose_prompt(rounded, exact)
    logits, tokens = run(exact, prompt)
    with float32_means_float64():
        unrounded, _ = run(widened(exact), prompt, tokens)
    runs = {"logits": logits, "logits_widened": unrounded, "logits_bf16": run(rounded, prompt, tokens)[0]}
    whole = exact(torch.tensor([prompt + tokens[:-1]])).logits[0]
    golden = {
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
                     "safetensors": safetensors.__version__, "python": platform.python_version()},
        "prompt_seed": seed, "prompt_ids": prompt, "completion_ids": tokens,
        "largest_logit": runs["logits_widened"].abs().max().item(),
        "least_greedy_margin": least_margin(runs["logits_widened"]),
        "logits_to_widened": distance(runs["logits"], runs["logits_widened"]),
        "logits_to_one_pass_without_cache": distance(runs["logits"], whole),
        "bf16_to_widened": distance(runs["logits_bf16"], runs["logits_widened"]),
    }
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    stored = {"logits": torch.float32, "logits_widened": torch.float32, "logits_bf16": torch.bfloat16}
    safetensors.torch.save_file({key: runs[key].to(dtype).contiguous() for key, dtype in stored.items()},
                                folder / "golden.safetensors")
    print(name, json.dumps(golden))


def main():
    parser = argparse.ArgumentParser(description="Makes tiny checkpoints and their reference logits.")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(MODELS))
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in arguments.names:
        make(name, arguments.out / name)


if __name__ == "__main__":
    main()
