"""A transformer block learns to go on with a text, character by character: causal attention, 30 steps of AdamW."""

import math

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F

TEXT = "the cat sat on the mat and the dog sat on the log and the frog sat on the cat " * 4
B, T, C, H = 4, 12, 24, 3  # sequences of a batch, their length, channels, heads
FUTURE = torch.tril(torch.ones(T, T)) == 0


class LayerNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        var = x.var(-1, keepdim=True, unbiased=False)
        return self.weight * (x - mean) / torch.sqrt(var + 1e-5) + self.bias


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = LayerNorm(C), LayerNorm(C)
        self.query, self.key, self.value = nn.Linear(C, C), nn.Linear(C, C), nn.Linear(C, C)
        self.proj = nn.Linear(C, C)
        self.mlp = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(approximate="tanh"), nn.Linear(4 * C, C))

    def attend(self, x):
        def heads(t):
            return t.view(B, T, H, C // H).transpose(1, 2)

        q, k, v = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        att = (q @ k.transpose(-2, -1) / math.sqrt(C // H)).masked_fill(FUTURE, float("-inf"))
        y = F.softmax(att, dim=-1) @ v
        return self.proj(y.transpose(1, 2).contiguous().view(B, T, C))

    def forward(self, x):
        x = x + self.attend(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class LanguageModel(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.wte = nn.Parameter(torch.zeros(vocabulary, C))
        self.wpe = nn.Parameter(torch.zeros(T, C))
        self.block, self.ln_f = Block(), LayerNorm(C)
        self.lm_head = nn.Linear(C, vocabulary, bias=False)

    def forward(self, idx, targets):
        logits = self.lm_head(self.ln_f(self.block(self.wte[idx] + self.wpe)))
        return F.cross_entropy(logits.view(B * T, -1), targets.view(-1))


def main():
    rng = np.random.default_rng(0)
    chars = sorted(set(TEXT))
    data = torch.tensor([chars.index(c) for c in TEXT])
    model = LanguageModel(len(chars))
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if "ln" not in name:
                p.copy_(torch.from_numpy(rng.normal(0, 0.1, p.shape)))
    optimizer = optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    losses = []
    for _ in range(30):
        starts = rng.integers(len(TEXT) - T - 1, size=B)
        x = torch.stack([data[i : i + T] for i in starts])
        y = torch.stack([data[i + 1 : i + T + 1] for i in starts])
        optimizer.zero_grad(set_to_none=True)
        loss = model(x, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "wpe": model.wpe.tolist()}


if __name__ == "__main__":
    print(main())
