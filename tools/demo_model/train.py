"""Trains the demo model: a small Qwen3.5-architecture hybrid (Gated DeltaNet + gated full attention) that
solves the word problems of sums.py. Needs one CUDA GPU, PyTorch and Hugging Face transformers >= 5.

    python3 train.py --gsm8k gsm8k_train.jsonl --work WORK --out OUT --minutes 8

Run again with the same --work to go on from the last checkpoint. --total-minutes sets the length of the
learning-rate schedule over all runs.
"""
import argparse, json, math, os, random, re, time
from multiprocessing import Pool

import torch
import torch.nn.functional as F

import sums

ROW = 384
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PRETOKEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
            r"\s+(?!\S)|\s+")
CHAT = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
        "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def gsm8k(path):
    for line in open(path):
        r = json.loads(line)
        yield {"question": r["question"], "answer": re.sub(r"<<[^>]*>>", "", r["answer"])}


def parts(r, rng):
    """Splits one record into (prompt, completion) in the completion or the chat format."""
    if rng.random() < 0.6:
        return f"Question: {r['question']}\nAnswer: ", f"{r['answer']}<|endoftext|>"
    return (f"<|im_start|>user\n{r['question']}<|im_end|>\n<|im_start|>assistant\n", f"{r['answer']}<|im_end|>\n<|endoftext|>")


def generate_part(arg):
    seed, count, held_out = arg
    rng, out = random.Random(seed), []
    while len(out) < count:
        r = sums.problem(rng)
        if r["question"] not in held_out:
            out.append(r)
    return out


def build_tokenizer(texts):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers, Regex
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRETOKEN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=4096, special_tokens=SPECIAL,
                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    from transformers import PreTrainedTokenizerFast
    fast = PreTrainedTokenizerFast(tokenizer_object=tok, eos_token="<|endoftext|>", pad_token="<|endoftext|>",
                                   model_max_length=4096)
    fast.chat_template = CHAT
    return fast


def config(tokenizer):
    from transformers import Qwen3_5TextConfig
    return Qwen3_5TextConfig(
        vocab_size=4096, hidden_size=384, intermediate_size=768, num_hidden_layers=16,
        num_attention_heads=3, num_key_value_heads=1, head_dim=256,
        linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=128, linear_value_head_dim=128,
        linear_conv_kernel_dim=4, max_position_embeddings=4096, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000000.0, "partial_rotary_factor": 0.25,
                         "mrope_section": [11, 11, 10], "mrope_interleaved": True},
        eos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"), bos_token_id=None, pad_token_id=0)


def chunk_rule(query, key, value, g, beta, chunk_size=64, initial_state=None, output_final_state=False,
               use_qk_l2norm_in_kernel=False, **_):
    """Gated delta rule over whole chunks, with one triangular solve a chunk (the library's fallback loops)."""
    dtype = query.dtype
    q, k, v, b, g = (x.transpose(1, 2).float() for x in (query, key, value, beta, g))
    q = q * torch.rsqrt((q * q).sum(-1, keepdim=True) + 1e-6)
    k = k * torch.rsqrt((k * k).sum(-1, keepdim=True) + 1e-6)
    B, H, T, K = k.shape
    V, C = v.shape[-1], chunk_size
    N = T // C
    q = q * K ** -0.5
    q, k, v = (x.reshape(B, H, N, C, -1) for x in (q, k, v))
    b, g = b.reshape(B, H, N, C, 1), g.reshape(B, H, N, C).cumsum(-1)
    low = torch.tril(torch.ones(C, C, device=q.device, dtype=torch.bool))
    decay = (g.unsqueeze(-1) - g.unsqueeze(-2)).masked_fill(~low, 0).exp().masked_fill(~low, 0)
    kb, vb = k * b, v * b
    a = ((kb @ k.transpose(-1, -2)) * decay).tril(-1)
    eye = torch.eye(C, device=q.device)
    rhs = torch.cat([vb, kb * g.exp().unsqueeze(-1)], -1)
    sol = torch.linalg.solve_triangular(a + eye, rhs, upper=False, unitriangular=True)
    u, w = sol[..., :V], sol[..., V:]
    qk = (q @ k.transpose(-1, -2)) * decay
    s = q.new_zeros(B, H, K, V) if initial_state is None else initial_state.float()
    out = []
    for n in range(N):
        e = g[:, :, n]
        vn = u[:, :, n] - w[:, :, n] @ s
        out.append((q[:, :, n] * e.exp().unsqueeze(-1)) @ s + qk[:, :, n] @ vn)
        s = s * e[..., -1, None, None].exp() + (k[:, :, n] * (e[..., -1:] - e).exp().unsqueeze(-1)).transpose(-1, -2) @ vn
    out = torch.stack(out, 2).reshape(B, H, T, V).transpose(1, 2).contiguous().to(dtype)
    return out, (s if output_final_state else None)


def make_rows(args, tokenizer, held_out):
    """Packs tokenised records into rows of ROW tokens, every row starting with a fresh record."""
    import numpy as np
    jobs = [(1000 + i, args.problems // 16, held_out) for i in range(16)]
    with Pool(16) as pool:
        recs = [r for part in pool.map(generate_part, jobs) for r in part]
    recs += [r for _ in range(6) for r in gsm8k(args.gsm8k)]
    rng = random.Random(7)
    rng.shuffle(recs)
    pairs = [parts(r, rng) for r in recs]
    t = tokenizer.backend_tokenizer
    prompts = t.encode_batch_fast([p for p, _ in pairs], add_special_tokens=False)
    answers = t.encode_batch_fast([a for _, a in pairs], add_special_tokens=False)
    ids, mask, row_i, row_m = [], [], [], []
    for p, a in zip(prompts, answers):
        row_i += p.ids + a.ids
        row_m += [0] * len(p.ids) + [1] * len(a.ids)
        if len(row_i) > ROW:
            ids.append(np.array(row_i[:ROW + 1], dtype=np.int16))
            mask.append(np.array(row_m[:ROW + 1], dtype=bool))
            row_i, row_m = [], []
    return torch.from_numpy(np.stack(ids)), torch.from_numpy(np.stack(mask))


@torch.no_grad()
def solve(model, tokenizer, records, chat=False, new=200):
    """Greedy answers; returns (number right, texts)."""
    tokenizer.padding_side = "left"
    if chat:
        prompts = [f"<|im_start|>user\n{r['question']}<|im_end|>\n<|im_start|>assistant\n" for r in records]
    else:
        prompts = [f"Question: {r['question']}\nAnswer: " for r in records]
    x = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to("cuda")
    x.pop("token_type_ids", None)
    y = model.generate(**x, max_new_tokens=new, do_sample=False,
                       eos_token_id=[0, 2], pad_token_id=0)[:, x["input_ids"].shape[1]:]
    texts = tokenizer.batch_decode(y, skip_special_tokens=True)
    right = sum(t.split("####")[-1].strip() == r["answer"].split("####")[-1].strip().replace(",", "")
                for t, r in zip(texts, records))
    return right, texts


def main():
    ap = argparse.ArgumentParser()
    for name, kind, default in (("gsm8k", str, None), ("work", str, None), ("out", str, None), ("minutes", float, 8),
                                ("total-minutes", float, 25), ("problems", int, 1_200_000), ("batch", int, 256),
                                ("lr", float, 2e-3), ("smoke", int, 0), ("compile", int, 0), ("final", int, 0)):
        ap.add_argument("--" + name, type=kind, default=default)
    args = ap.parse_args()
    start = time.time()
    os.makedirs(args.work, exist_ok=True)
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = True
    test = sums.records(20261123, 500)
    held_out = {r["question"] for r in test}
    tok_dir, data = f"{args.work}/tok", f"{args.work}/rows.pt"
    from transformers import AutoTokenizer, Qwen3_5ForCausalLM
    import transformers.models.qwen3_5.modeling_qwen3_5 as mod
    if not os.path.exists(data):
        rng = random.Random(3)
        texts = ["".join(parts(sums.problem(rng), rng)) for _ in range(20000)] + ["".join(parts(r, rng)) for r in gsm8k(args.gsm8k)]
        tokenizer = build_tokenizer(texts)
        tokenizer.save_pretrained(tok_dir)
        ids, mask = make_rows(args, tokenizer, held_out)
        torch.save((ids, mask), data)
        print(f"data: {len(ids)} rows of {ROW} tokens, {time.time() - start:.0f} s", flush=True)
    tokenizer = AutoTokenizer.from_pretrained(tok_dir)
    ids, mask = torch.load(data)
    ids, mask = ids.cuda(), mask.cuda()

    library_rule, mod.torch_chunk_gated_delta_rule = mod.torch_chunk_gated_delta_rule, chunk_rule
    model = Qwen3_5ForCausalLM(config(tokenizer)).cuda().float()
    print("parameters:", sum(p.numel() for p in model.parameters()), flush=True)
    decay = [p for n, p in model.named_parameters() if p.ndim == 2]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
                            lr=args.lr, betas=(0.9, 0.95), fused=True)
    step, spent, ckpt = 0, 0.0, f"{args.work}/ckpt.pt"
    if os.path.exists(ckpt):
        c = torch.load(ckpt)
        model.load_state_dict(c["model"]), opt.load_state_dict(c["opt"])
        step, spent = c["step"], c["spent"]
    run = torch.compile(model) if args.compile else model
    model.train()
    gen = torch.Generator().manual_seed(step + 11)
    order, at, t0, losses = torch.randperm(len(ids), generator=gen), 0, time.time(), []
    while True:
        now = spent + time.time() - t0
        if time.time() - start > args.minutes * 60 or (args.smoke and step >= args.smoke):
            break
        f = min(now / (args.total_minutes * 60), 1)
        for group in opt.param_groups:
            group["lr"] = args.lr * min((step + 1) / 200, 1) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * f)))
        if at + args.batch > len(order):
            order, at = torch.randperm(len(ids), generator=gen), 0
        pick = order[at:at + args.batch].cuda()
        at += args.batch
        rows, m = ids[pick].long(), mask[pick]
        with torch.autocast("cuda", dtype=torch.bfloat16):
            logits = run(input_ids=rows[:, :-1], use_cache=False).logits
        loss = F.cross_entropy(logits.float().reshape(-1, logits.shape[-1]), rows[:, 1:].reshape(-1), reduction="none")
        w = torch.where(m[:, 1:].reshape(-1), 1.0, 0.1)
        (loss * w).sum().div(w.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step(), opt.zero_grad(set_to_none=True)
        step += 1
        if step % 100 == 0 or args.smoke:
            hard = loss[m[:, 1:].reshape(-1)].mean().item()
            print(f"step {step} {now:.0f} s answer-loss {hard:.4f}", flush=True)
    spent += time.time() - t0
    torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "spent": spent}, ckpt)
    model.eval()
    mod.torch_chunk_gated_delta_rule = library_rule  # what is measured and exported is the library's own arithmetic
    right, texts = solve(model, tokenizer, test[:200])
    chat, _ = solve(model, tokenizer, test[:200], chat=True)
    print(f"fp32: held-out {right}/200, chat {chat}/200, {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", flush=True)
    print(texts[0], "\n", test[0]["answer"])
    if args.final:
        export(model, tokenizer, test, args.out)
    print(f"wall {time.time() - start:.0f} s")


def export(model, tokenizer, test, out):
    """Writes OUT/checkpoint (bf16), OUT/test.jsonl (the held-out problems) and OUT/golden.json (reference results)."""
    d = os.path.join(out, "checkpoint")
    os.makedirs(d, exist_ok=True)
    model = model.to(torch.bfloat16)
    model.config.dtype = "bfloat16"
    model.generation_config.eos_token_id = [0, 2]
    model.save_pretrained(d)
    tokenizer.save_pretrained(d)
    with open(f"{d}/../test.jsonl", "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in test)
    r, texts = solve(model, tokenizer, test)
    c, _ = solve(model, tokenizer, test, chat=True)
    print(f"bf16: held-out {r}/{len(test)}, chat {c}/{len(test)}")
    # a clean float32 reload: rounding the module to bf16 also rounds RoPE's frequencies, and TF32 would blur the logits
    torch.backends.cuda.matmul.allow_tf32 = False
    model = type(model).from_pretrained(d, dtype=torch.float32).cuda().eval()
    golden = []
    for t, rec in list(zip(texts, test))[:20]:
        x = torch.tensor([tokenizer(f"Question: {rec['question']}\nAnswer: ", add_special_tokens=False)["input_ids"]]).cuda()
        with torch.no_grad():
            logits = model(input_ids=x, use_cache=False).logits[0, -1].double().cpu()
            y = model.generate(x, max_new_tokens=200, do_sample=False, eos_token_id=[0, 2], pad_token_id=0)[0, x.shape[1]:]
        top = logits.topk(20)
        golden.append({"prompt_ids": x[0].tolist(), "completion_ids": y.tolist(), "text": tokenizer.decode(y),
                       "last_prompt_logits_top20": {"ids": top.indices.tolist(), "values": [round(v, 5) for v in top.values.tolist()]}})
    json.dump({"dtype": "float32 over bf16 weights", "cases": golden}, open(f"{d}/../golden.json", "w"))


if __name__ == "__main__":
    main()
