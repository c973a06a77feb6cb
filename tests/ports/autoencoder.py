"""A denoising autoencoder: parameter groups of two learning rates, a decoder that joins later, masks of dropout."""

import numpy as np

import tinygrad_sm as tg
import tinygrad_sm.nn as nn
import tinygrad_sm.nn.functional as F
import tinygrad_sm.nn.optim as optim


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(16, 12), nn.Linear(12, 4)

    def forward(self, x, mask):
        return tg.tanh(self.fc2(F.leaky_relu(self.fc1(x * mask), 0.1)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 12), nn.Linear(12, 16)

    def forward(self, z):
        return self.fc2(F.silu(self.fc1(z)))


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, z):
        return self.net(z).squeeze(1)


def init_weights(rng):
    def init(m):
        if isinstance(m, nn.Linear):
            with tg.no_grad():
                m.weight.assign(rng.normal(0, 0.4, m.weight.shape))
                m.bias.assign(tg.zeros(m.bias.shape))

    return init


def main():
    rng = np.random.default_rng(9)
    encoder, decoder, critic = Encoder(), Decoder(), Critic()
    for model in (encoder, decoder, critic):
        model.apply(init_weights(rng))
    data = tg.Tensor(np.tanh(rng.normal(size=(48, 4)) @ rng.normal(size=(4, 16))), dtype="float32")
    slow, fast = {"params": encoder.fc1.parameters(), "lr": 0.005}, {"params": encoder.fc2.parameters()}
    opt_ae = optim.Adam([slow, fast], lr=0.02)
    opt_ae.add_param_group({"params": decoder.parameters(), "weight_decay": 1e-3})
    opt_critic = optim.SGD(critic.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    real, fake = tg.ones(len(data)), tg.zeros(len(data))

    losses, critic_losses = [], []
    for step in range(40):
        mask = tg.Tensor(rng.random((48, 16)) < 0.8, dtype="float32") / 0.8
        prior = tg.Tensor(rng.uniform(-1, 1, (48, 4)), dtype="float32")

        opt_critic.zero_grad(set_to_none=True)
        z = encoder(data, mask).detach()
        critic_loss = F.binary_cross_entropy_with_logits(critic(prior), real)
        critic_loss = critic_loss + F.binary_cross_entropy_with_logits(critic(z), fake)
        critic_loss.backward()
        opt_critic.step()

        opt_ae.zero_grad(set_to_none=False)
        z = encoder(data, mask)
        loss = F.mse_loss(decoder(z), data) + 0.01 * F.binary_cross_entropy_with_logits(critic(z), real)
        loss.backward()
        opt_ae.step()
        if step == 25:
            opt_ae.param_groups[1]["lr"] *= 0.1
        losses.append(loss.item())
        critic_losses.append(critic_loss.item())
    return {"losses": losses, "critic losses": critic_losses, "bias": decoder.fc2.bias.tolist()}


if __name__ == "__main__":
    print(main())
