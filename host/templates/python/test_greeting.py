import unittest

from greeting import greeting


class Greeting(unittest.TestCase):
    def test_it_greets_by_name(self):
        self.assertEqual(greeting("you"), "hello you")
