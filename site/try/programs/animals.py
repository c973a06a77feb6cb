import tinygrad_sm as tg
from this_page import show
from tinygrad_sm import nn
from tinygrad_sm.datasets import toys

animals = toys.cat_chicken_dog(N=300, noise=0.2)
tg.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
loss_function = nn.CrossEntropyLoss()
optimizer = nn.optim.SGD(model.parameters(), lr=0.5)

for step in range(201):
    loss = loss_function(model(animals.images), animals.labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        show(model, animals, loss)
