"""Adds a trained multi-token-prediction (MTP) head to the demo checkpoint, with the base model frozen.

The head follows Qwen3.5's layout: norm the embedding of the next token and the base model's final-normed hidden state,
concatenate (embedding first), project 2H -> H, one full-attention layer, norm, the shared output head. Drafting applies it
repeatedly, each time on its own normed output; training unrolls three such steps.

    python3 train_mtp.py --checkpoint checkpoint --gsm8k gsm8k_train.jsonl --work WORK --out OUT --minutes 6
"""
import argparse, json, math, os, shutil, time

import torch
import torch.nn.functional as F
from torch import nn

import sums
import train

STEPS = 3


class Mtp(nn.Module):
    def __init__(self, config, mod):
        super().__init__()
        h, eps = config.hidden_size, config.rms_norm_eps
        attention_layer = config.layer_types.index("full_attention")
        self.fc = nn.Linear(2 * h, h, bias=False)
        self.pre_fc_norm_embedding = mod.Qwen3_5RMSNorm(h, eps=eps)
        self.pre_fc_norm_hidden = mod.Qwen3_5RMSNorm(h, eps=eps)
        self.layers = nn.ModuleList([mod.Qwen3_5DecoderLayer(config, attention_layer)])
        self.norm = mod.Qwen3_5RMSNorm(h, eps=eps)

    def forward(self, embedding, hidden, rope):
        x = self.fc(torch.cat([self.pre_fc_norm_embedding(embedding), self.pre_fc_norm_hidden(hidden)], -1))
        x = self.layers[0](x, position_embeddings=rope, attention_mask=None)
        return self.norm(x[0] if isinstance(x, tuple) else x)


def main():
    ap = argparse.ArgumentParser()
    for name, kind, default in (("checkpoint", str, None), ("gsm8k", str, None), ("work", str, None), ("out", str, None),
                                ("minutes", float, 6), ("problems", int, 400_000), ("batch", int, 192), ("lr", float, 1.5e-3)):
        ap.add_argument("--" + name, type=kind, default=default)
    args = ap.parse_args()
    start = time.time()
    torch.manual_seed(2)
    torch.backends.cuda.matmul.allow_tf32 = True
    from safetensors.torch import load_file, save_file
    from transformers import PreTrainedTokenizerFast, Qwen3_5ForCausalLM
    import transformers.models.qwen3_5.modeling_qwen3_5 as mod
    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.checkpoint)
    golden = json.load(open(f"{args.checkpoint}/../golden.json"))["cases"][0]
    assert tokenizer.encode(tokenizer.decode(golden["prompt_ids"])) == golden["prompt_ids"], "this tokenizer class splits differently"
    held_out = {r["question"] for r in sums.records(20261123, 500)}
    ids, mask = train.make_rows(args, tokenizer, held_out)
    print(f"data: {len(ids)} rows, {time.time() - start:.0f} s", flush=True)
    ids, mask = ids.cuda(), mask.cuda()
    library_rule, mod.torch_chunk_gated_delta_rule = mod.torch_chunk_gated_delta_rule, train.chunk_rule
    base = Qwen3_5ForCausalLM.from_pretrained(args.checkpoint, dtype=torch.float32).cuda().eval().requires_grad_(False)
    mtp = Mtp(base.config, mod).cuda().float()
    for m in mtp.modules():
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=0.02)
    matrices = [p for p in mtp.parameters() if p.ndim == 2]
    opt = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                             {"params": [p for p in mtp.parameters() if p.ndim != 2], "weight_decay": 0.0}], lr=args.lr, betas=(0.9, 0.95), fused=True)
    body = torch.compile(base.model)

    def forward(rows):
        """rows [batch, ROW + 1] token ids -> per draft step (logits [batch, n, vocab], targets [batch, n], answer mask offset)."""
        with torch.no_grad(), torch.autocast("cuda", dtype=torch.bfloat16):
            hidden = body(input_ids=rows[:, :-1], use_cache=False).last_hidden_state
        n = train.ROW - STEPS
        rope = base.model.rotary_emb(hidden[:, :n], torch.arange(n, device=rows.device).expand(3, 1, n))
        x, out = hidden[:, :n], []
        for k in range(STEPS):
            embedding = base.model.embed_tokens(rows[:, 1 + k:1 + k + n])
            x = mtp(embedding, x, rope)
            out.append((base.lm_head(x), rows[:, 2 + k:2 + k + n] if 2 + k + n <= rows.shape[1] else None, 2 + k))
        return out

    t0, step = time.time(), 0
    order, at = torch.randperm(len(ids)), 0
    while time.time() - start < args.minutes * 60:
        f = min((time.time() - start) / (args.minutes * 60), 1)
        for group in opt.param_groups:
            group["lr"] = args.lr * min((step + 1) / 100, 1) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * f)))
        if at + args.batch > len(order):
            order, at = torch.randperm(len(ids)), 0
        pick = order[at:at + args.batch].cuda()
        at += args.batch
        rows, m = ids[pick].long(), mask[pick]
        with torch.autocast("cuda", dtype=torch.bfloat16):
            drafts = forward(rows)
        loss, right = 0, []
        for logits, target, shift in drafts:
            n = target.shape[1]
            w = m[:, shift:shift + n].float() + 0.05
            ce = F.cross_entropy(logits[:, :n].float().reshape(-1, logits.shape[-1]), target.reshape(-1), reduction="none").view_as(target)
            loss = loss + (ce * w).sum() / w.sum()
            right.append(((logits[:, :n].argmax(-1) == target) & m[:, shift:shift + n]).sum() / m[:, shift:shift + n].sum())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(mtp.parameters(), 1.0)
        opt.step(), opt.zero_grad(set_to_none=True)
        step += 1
        if step % 100 == 0 or step <= 2:
            print(f"step {step} {time.time() - t0:.0f} s loss {loss.item():.4f} answer-token accuracy by draft step", [round(r.item(), 4) for r in right], flush=True)
    tensors = load_file(f"{args.checkpoint}/model.safetensors")
    tensors |= {f"mtp.{k}": v.to(torch.bfloat16).contiguous() for k, v in mtp.state_dict().items()}
    out = os.path.join(args.out, "checkpoint")
    os.makedirs(out, exist_ok=True)
    shutil.copytree(args.checkpoint, out, dirs_exist_ok=True)
    save_file(tensors, f"{out}/model.safetensors", metadata={"format": "pt"})
    config = json.load(open(f"{out}/config.json"))
    config["mtp_num_hidden_layers"] = 1
    json.dump(config, open(f"{out}/config.json", "w"), indent=2)
    again = Qwen3_5ForCausalLM.from_pretrained(out, dtype=torch.float32).cuda().eval()  # the library must still load it, ignoring mtp.*
    mod.torch_chunk_gated_delta_rule = library_rule
    test = sums.records(20261123, 500)[:200]
    print("held-out with the library after adding the head:", train.solve(again, tokenizer, test)[0], "/ 200")
    print([(k, list(v.shape)) for k, v in tensors.items() if k.startswith("mtp.")])
    print(f"wall {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
