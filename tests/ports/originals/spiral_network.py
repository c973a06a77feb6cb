"""A network of two layers learns three spirals: plain NumPy, its gradients written out by hand."""

import numpy as np

N, D, K, H = 40, 2, 3, 24  # points of a class, dimensions, classes, hidden units
STEP_SIZE, REG = 1.0, 1e-3


def spirals(rng):
    X, y = np.zeros((N * K, D)), np.zeros(N * K, dtype="uint8")
    for j in range(K):
        r = np.linspace(0.0, 1, N)
        t = np.linspace(j * 4, (j + 1) * 4, N) + rng.standard_normal(N) * 0.2
        X[N * j : N * (j + 1)] = np.c_[r * np.sin(t), r * np.cos(t)]
        y[N * j : N * (j + 1)] = j
    return X, y


def main():
    rng = np.random.default_rng(4)
    X, y = spirals(rng)
    W = 0.01 * rng.standard_normal((D, H))
    b = np.zeros((1, H))
    W2 = 0.01 * rng.standard_normal((H, K))
    b2 = np.zeros((1, K))

    losses = []
    for _ in range(200):
        hidden_layer = np.maximum(0, np.dot(X, W) + b)
        scores = np.dot(hidden_layer, W2) + b2
        exp_scores = np.exp(scores)
        probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
        data_loss = np.mean(-np.log(probs[range(len(X)), y]))
        reg_loss = 0.5 * REG * np.sum(W * W) + 0.5 * REG * np.sum(W2 * W2)
        loss = data_loss + reg_loss
        losses.append(float(loss))

        dscores = probs.copy()
        dscores[range(len(X)), y] -= 1
        dscores /= len(X)
        dW2 = np.dot(hidden_layer.T, dscores) + REG * W2
        db2 = np.sum(dscores, axis=0, keepdims=True)
        dhidden = np.dot(dscores, W2.T)
        dhidden[hidden_layer <= 0] = 0
        dW = np.dot(X.T, dhidden) + REG * W
        db = np.sum(dhidden, axis=0, keepdims=True)

        W += -STEP_SIZE * dW
        b += -STEP_SIZE * db
        W2 += -STEP_SIZE * dW2
        b2 += -STEP_SIZE * db2

    hidden_layer = np.maximum(0, np.dot(X, W) + b)
    predicted_class = np.argmax(np.dot(hidden_layer, W2) + b2, axis=1)
    return {"losses": losses, "accuracy": float(np.mean(predicted_class == y)), "W": W.tolist(), "b2": b2.tolist()}


if __name__ == "__main__":
    print(main())
