"""What is wrong, why, and the way out: pure judgement of gathered facts, with thin edges that gather them."""
