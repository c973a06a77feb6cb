"""A generator against a critic whose gradient is held near length 1: a penalty on a gradient, so create_graph=True."""

from itertools import pairwise

import numpy as np
import torch
from torch import autograd, nn, optim

BATCH, LATENT, LAMBDA, CRITIC_STEPS = 32, 3, 10.0, 3


def tensor(array):
    return torch.from_numpy(array).float()


def network(rng, *sizes):
    layers = []
    for m, n in pairwise(sizes):
        layers += [nn.Linear(m, n), nn.Tanh()]
        layers[-2].weight.data[:] = tensor(rng.normal(0, 1 / m**0.5, (n, m)))
        layers[-2].bias.data[:] = 0
    return nn.Sequential(*layers[:-1])


def calc_gradient_penalty(netD, real_data, fake_data, alpha):
    interpolates = alpha * real_data + (1 - alpha) * fake_data
    interpolates.requires_grad_(True)
    disc_interpolates = netD(interpolates)
    gradients = autograd.grad(
        outputs=disc_interpolates,
        inputs=interpolates,
        grad_outputs=torch.ones(disc_interpolates.shape),
        create_graph=True,
        retain_graph=True,
    )[0]
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * LAMBDA


def main():
    rng = np.random.default_rng(10)
    netG, netD = network(rng, LATENT, 16, 2), network(rng, 2, 16, 1)
    optimizerD = optim.Adam(netD.parameters(), lr=1e-2, betas=(0.5, 0.9))
    optimizerG = optim.Adam(netG.parameters(), lr=1e-2, betas=(0.5, 0.9))
    one = torch.tensor(1.0)

    distances, penalties = [], []
    for _ in range(12):
        netD.requires_grad_(True)
        for _ in range(CRITIC_STEPS):
            angle = rng.uniform(0, 2 * np.pi, BATCH)
            real = tensor(np.stack([np.cos(angle), np.sin(angle)], axis=1))
            noise = tensor(rng.normal(size=(BATCH, LATENT)))
            alpha = tensor(rng.random((BATCH, 1)))
            with torch.no_grad():
                fake = netG(noise)
            netD.zero_grad()
            D_real, D_fake = netD(real).mean(), netD(fake).mean()
            D_real.backward(-one)
            D_fake.backward(one)
            gradient_penalty = calc_gradient_penalty(netD, real, fake, alpha)
            gradient_penalty.backward()
            optimizerD.step()
        distances.append((D_real - D_fake).item())
        penalties.append(gradient_penalty.item())

        netD.requires_grad_(False)
        netG.zero_grad()
        noise = tensor(rng.normal(size=(BATCH, LATENT)))
        netD(netG(noise)).mean().backward(-one)
        optimizerG.step()
    return {"distances": distances, "penalties": penalties, "bias": netG[2].bias.tolist()}


if __name__ == "__main__":
    print(main())
