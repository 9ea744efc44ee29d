"""The functions that wit/world.wit exports. All imports stand at the top: later ones find nothing."""

import logging

import wit_world
from clockjack import job
from greeting import greeting


class WitWorld(wit_world.WitWorld):
    @job
    def hello(self, name):
        logging.info("greeting %s", name)
        return greeting(name)
