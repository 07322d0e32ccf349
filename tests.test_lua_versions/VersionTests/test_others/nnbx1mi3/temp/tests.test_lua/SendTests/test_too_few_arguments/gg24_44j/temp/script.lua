
sendTo('a')
