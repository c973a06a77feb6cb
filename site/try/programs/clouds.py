import tinygrad_sm as tg
from this_page import show
from tinygrad_sm import nn
from tinygrad_sm.datasets import toys

points = toys.red_green_blue(N=300, noise=0.8)
tg.manual_seed(0)
model = nn.Linear(2, len(points.classes))
loss_function = nn.CrossEntropyLoss()
optimizer = nn.optim.SGD(model.parameters(), lr=0.1)

for step in range(101):
    loss = loss_function(model(points.inputs), points.labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 4 == 0:
        show(model, points, loss)
