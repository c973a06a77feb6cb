import tinygrad_sm as tg
from this_page import show
from tinygrad_sm import nn
from tinygrad_sm.datasets import toys

points = toys.spirals(N=400, classes=4)
tg.manual_seed(0)
model = nn.Sequential(
    nn.Linear(2, 32),
    nn.Tanh(),
    nn.Linear(32, 32),
    nn.Tanh(),
    nn.Linear(32, len(points.classes)),
)
loss_function = nn.CrossEntropyLoss()
optimizer = nn.optim.Adam(model.parameters(), lr=0.01)

for step in range(401):
    loss = loss_function(model(points.inputs), points.labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        show(model, points, loss)
