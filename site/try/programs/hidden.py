import tinygrad_sm as tg
from this_page import digits, show, test
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader

tg.manual_seed(0)
model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
loss_function = nn.CrossEntropyLoss()
optimizer = nn.optim.Adam(model.parameters(), lr=0.001)
loader = DataLoader(digits, batch_size=32, shuffle=True, seed=0)

show(model, test)
for _ in range(15):  # epochs
    for images, labels in loader:
        loss = loss_function(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    show(model, test, loss)
